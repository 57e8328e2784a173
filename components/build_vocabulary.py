"""The one token vocabulary of a run."""

from kfp import dsl

from components import images


@dsl.component(base_image=images.DATA, install_kfp_package=False)
def build_vocabulary(shards: str, data_folder: str, recipe: str, settings: list[str]) -> str:
    """Build the token vocabulary from the words of the training shards; gives its location."""
    from components import launch
    from omnidet import steps

    out = launch.vocabulary(data_folder, recipe, settings)
    steps.build_vocabulary(shards, out, launch.recipe(recipe, settings))
    return out
