"""Put the detector into the registry."""

from kfp import dsl

from components import images


@dsl.component(base_image=images.CONTROL, install_kfp_package=False)
def register(
    model: str, metrics: str, registry: str, run_folder: str, recipe: str, settings: list[str],
    registered: dsl.Output[dsl.Model], run_name: str = "",
) -> str:  # fmt: skip
    """Register the detector as an immutable version, and as the champion; gives `name@version`."""
    from components.run import train_detector

    facts = train_detector.register(
        model, metrics, registry, run_folder, recipe, settings, registered.path, run_name
    )
    registered.metadata.update(facts)
    return facts["version"]
