"""The quality gate.

The verdict is its only output: in local runs, `dsl.If` on a named output is silently false.
"""

from kfp import dsl

from components import images


@dsl.component(base_image=images.CONTROL, install_kfp_package=False)
def gate(metrics: str, registry: str, run_folder: str, recipe: str, settings: list[str]) -> bool:
    """Compare with the registry's champion; `gate.json` in the run's folder holds the numbers."""
    from components.run import places, train_detector

    chosen = places.recipe(recipe, settings)
    return train_detector.gate(metrics, registry, run_folder, chosen)
