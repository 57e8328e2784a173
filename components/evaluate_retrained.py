"""Measure the retrained detector, and show its numbers next to the champion's."""

from kfp import dsl

from components import images


@dsl.component(base_image=images.TRAIN, install_kfp_package=False)
def evaluate_retrained(
    run_folder: str, model: str, registry: str, recipe: str, settings: list[str],
    gpus_per_node: int, cpus_per_node: str, memory_per_node: str,
    metrics: dsl.Output[dsl.Metrics], table: dsl.Output[dsl.Markdown], report: dsl.Output[dsl.HTML],
) -> str:  # fmt: skip
    """Run old and new benchmarks on `model` and write the report; returns the run's folder."""
    from components.run import artifacts, retrain

    # Local runs refuse a limit that no step takes.
    print(f"on {gpus_per_node} GPUs, {cpus_per_node} CPUs, {memory_per_node}")
    shown = artifacts.Shown(metrics.path, table.path, report.path)
    values = retrain.evaluate(run_folder, model, registry, recipe, settings, shown)
    for name, value in values.items():
        metrics.log_metric(name, value)
    return run_folder
