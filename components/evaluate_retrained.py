"""Measure the retrained detector, and show its numbers next to the champion's."""

from kfp import dsl

from components import images


@dsl.component(base_image=images.TRAIN, install_kfp_package=False)
def evaluate_retrained(
    run_folder: str, model: str, registry: str, recipe: str, settings: list[str],
    gpus: int, cpu: str, memory: str,
    metrics: dsl.Output[dsl.Metrics], table: dsl.Output[dsl.Markdown], report: dsl.Output[dsl.HTML],
) -> str:  # fmt: skip
    """Run old and new benchmarks on `model` and write the report; returns the run's folder."""
    from components.run import artifacts, places, retrain

    print(f"on {gpus} GPUs, {cpu} CPUs, {memory}")  # local runs refuse a limit that no step takes
    shown = artifacts.Shown(metrics.path, table.path, report.path)
    chosen = places.recipe(recipe, settings)
    values = retrain.evaluate(run_folder, model, registry, chosen, shown)
    for name, value in values.items():
        metrics.log_metric(name, value)
    return run_folder
