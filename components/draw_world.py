"""The data to read: what was given, or the synthetic datasets of the recipe."""

from kfp import dsl

from components import images


@dsl.component(base_image=images.DATA, install_kfp_package=False)
def draw_world(data: str, data_folder: str, recipe: str, settings: list[str]) -> str:
    """Return the location of the datasets; if none was given, draw the synthetic ones first."""
    from components.run import places, train_detector

    return train_detector.datasets(data, data_folder, places.recipe(recipe, settings))
