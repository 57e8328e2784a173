"""Check a run's settings before anything costs time, and lay out its folders."""

from typing import NamedTuple

from kfp import dsl

from components import images


@dsl.component(base_image=images.CONTROL, install_kfp_package=False)
def configure(
    recipe: str, settings: list[str], train_images: int, image_size: int, train_steps: int,
    learning_rate: float, seed: int, data: str, data_version: str, workspace: str, run_id: str,
    download: list[str], catalogue: str, registry: str,
) -> NamedTuple(  # type: ignore[valid-type]
    "Configured", [("data_settings", list), ("vocabulary_settings", list), ("settings", list),
                   ("data_folder", str), ("run_folder", str)]):  # fmt: skip
    """Check a run's settings.

    Returns the settings of the data, those of the vocabulary, all of them, and the folders.
    """
    from components.run import configuration

    return configuration.configure(configuration.RunParameters(
        recipe=recipe, settings=settings, train_images=train_images, image_size=image_size,
        train_steps=train_steps, learning_rate=learning_rate, seed=seed, data=data,
        data_version=data_version, workspace=workspace, run_id=run_id, download=download,
        catalogue=catalogue, registry=registry,
    ))  # fmt: skip
