"""The gate of a retraining.

The verdict is its only output: in local runs, `dsl.If` on a named output is silently false.
"""

from kfp import dsl

from components import images


@dsl.component(base_image=images.CONTROL, install_kfp_package=False)
def gate_retrained(run_folder: str, registry: str, recipe: str, settings: list[str]) -> bool:
    """Compare old benchmarks with the champion's numbers, the new one with those before."""
    from components.run import retrain

    return retrain.gate(run_folder, registry, recipe, settings)
