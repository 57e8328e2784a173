"""Register the retrained detector."""

from kfp import dsl

from components import images


@dsl.component(base_image=images.CONTROL, install_kfp_package=False)
def register_retrained(
    run_folder: str, registry: str, recipe: str, settings: list[str],
    registered: dsl.Output[dsl.Model],
) -> str:  # fmt: skip
    """Register, and promote if the champion is still the one of the start; returns the version."""
    from components.run import retrain

    facts = retrain.register(run_folder, registry, recipe, settings, registered.path)
    registered.metadata.update(facts)
    return facts["version"]
