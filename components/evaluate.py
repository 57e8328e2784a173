"""Measure the detector, and show the results."""

from kfp import dsl

from components import images


@dsl.component(base_image=images.TRAIN, install_kfp_package=False)
def evaluate(
    model: str, shards: str, run_folder: str, recipe: str, settings: list[str],
    metrics: dsl.Output[dsl.Metrics], table: dsl.Output[dsl.Markdown], report: dsl.Output[dsl.HTML],
) -> str:  # fmt: skip
    """Run the benchmarks of the recipe and write the report; returns where the metrics are."""
    from components.run import artifacts, places, train_detector

    shown = artifacts.Shown(metrics.path, table.path, report.path)
    chosen = places.recipe(recipe, settings)
    values = train_detector.evaluate(model, shards, run_folder, chosen, shown)
    for name, value in values.items():
        metrics.log_metric(name, value)
    return places.metrics(run_folder)
