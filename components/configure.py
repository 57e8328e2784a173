"""Check a run's settings before anything costs time, and lay out its folders."""

from typing import NamedTuple

from kfp import dsl

from components import images


@dsl.component(base_image=images.CONTROL, install_kfp_package=False)
def configure(
    recipe: str, settings: list[str], train_images: int, image_size: int, train_steps: int, learning_rate: float, seed: int,
    data: str, data_version: str, workspace: str, run_id: str, download: list[str], catalogue: str, registry: str = "",
) -> NamedTuple("Configured", [("data_settings", list), ("vocabulary_settings", list), ("settings", list),  # type: ignore[valid-type]
                               ("data_folder", str), ("run_folder", str)]):  # fmt: skip
    """Check a run's settings; give those that shape the data, the vocabulary, everything, and the folders of data and run."""
    from components.run import train_detector

    numbers = (train_images, image_size, train_steps, learning_rate, seed)
    of_data = (data, data_version, workspace, run_id)
    return train_detector.configure(
        recipe, settings, numbers, *of_data, registry, download, catalogue
    )
