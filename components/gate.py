"""The quality gate. It has this one output alone: `dsl.If` on a named output is silently false in local runs."""

from kfp import dsl

from components import images


@dsl.component(base_image=images.CONTROL, install_kfp_package=False)
def gate(metrics: str, registry: str, run_folder: str, recipe: str, settings: list[str]) -> bool:
    """Compare with the champion of the registry; the decision and its numbers go to `gate.json` in the run's folder."""
    from components.run import train_detector as run
    from omnidet.steps import train_detector

    return train_detector.gate(
        metrics, registry, run.decision(run_folder), run.recipe(recipe, settings)
    )
