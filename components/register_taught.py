"""Put the taught detector into the registry."""

from kfp import dsl

from components import images


@dsl.component(base_image=images.CONTROL, install_kfp_package=False)
def register_taught(
    run_folder: str, registry: str, recipe: str, settings: list[str], registered: dsl.Output[dsl.Model]
) -> str:  # fmt: skip
    """Register, and move the alias if it still points to the champion of the run's beginning; gives `name@version`."""
    from components.run import retrain

    facts = retrain.register(run_folder, registry, recipe, settings, registered.path)
    registered.metadata.update(facts)
    return facts["version"]
