"""The one token vocabulary of a run."""

from kfp import dsl

from components import images


@dsl.component(base_image=images.DATA, install_kfp_package=False)
def build_vocabulary(shards: str, data_folder: str, recipe: str, settings: list[str]) -> str:
    """Build the token vocabulary from the words of the training shards; gives its location."""
    from components.run import train_detector as run
    from omnidet.steps import train_detector

    out = run.vocabulary(data_folder, recipe, settings)
    train_detector.build_vocabulary(shards, out, run.recipe(recipe, settings))
    return out
