"""The gate of a retraining. It has this one output alone: `dsl.If` on a named output is silently false in local runs."""

from kfp import dsl

from components import images


@dsl.component(base_image=images.CONTROL, install_kfp_package=False)
def gate_taught(run_folder: str, registry: str, recipe: str, settings: list[str]) -> bool:
    """Old benchmarks against the champion's numbers, the new one against what it reached untaught."""
    from components.run import retrain

    return retrain.gate(run_folder, registry, recipe, settings)
