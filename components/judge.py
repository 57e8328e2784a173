"""Measure the taught detector on the old and the new, and show both beside the champion."""

from kfp import dsl

from components import images


@dsl.component(base_image=images.TRAIN, install_kfp_package=False)
def judge(
    run_folder: str, model: str, registry: str, recipe: str, settings: list[str], gpus: int, cpu: str, memory: str,
    metrics: dsl.Output[dsl.Metrics], table: dsl.Output[dsl.Markdown], report: dsl.Output[dsl.HTML],
) -> str:  # fmt: skip
    """Run all benchmarks and write the report; gives the run's folder. `model` is what was just trained there."""
    from components.run import retrain

    print(f"on {gpus} GPUs, {cpu} CPUs, {memory}")  # local runs refuse a limit that no step takes
    values = retrain.judge(
        run_folder, model, registry, recipe, settings, metrics.path, table.path, report.path
    )
    for name, value in values.items():
        metrics.log_metric(name, value)
    return run_folder
