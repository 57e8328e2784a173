"""Register the detector."""

from kfp import dsl

from components import images


@dsl.component(base_image=images.CONTROL, install_kfp_package=False)
def register(
    model: str, metrics: str, registry: str, run_folder: str, run_name: str,
    recipe: str, settings: list[str], registered: dsl.Output[dsl.Model],
) -> str:  # fmt: skip
    """Register an immutable version and make it the champion; returns `name@version`."""
    from components.run import places, train_detector

    chosen = places.recipe(recipe, settings)
    facts = train_detector.register(
        model, metrics, registry, run_folder, run_name, chosen, registered.path
    )
    registered.metadata.update(facts)
    return facts["version"]
