"""Measure the detector, and show it."""

from kfp import dsl

from components import images


@dsl.component(base_image=images.TRAIN, install_kfp_package=False)
def evaluate(
    model: str, shards: str, run_folder: str, recipe: str, settings: list[str],
    metrics: dsl.Output[dsl.Metrics], table: dsl.Output[dsl.Markdown], report: dsl.Output[dsl.HTML],
) -> str:  # fmt: skip
    """Run the benchmarks of the recipe and write the report; gives the location of the flat metrics file."""
    from components.run import train_detector

    values = train_detector.evaluate(
        model, shards, run_folder, recipe, settings, metrics.path, table.path, report.path
    )
    for name, value in values.items():
        metrics.log_metric(name, value)
    return train_detector.metrics(run_folder)
