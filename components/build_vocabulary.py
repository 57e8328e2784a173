"""Build the one token vocabulary of a run."""

from kfp import dsl

from components import images


@dsl.component(base_image=images.DATA, install_kfp_package=False)
def build_vocabulary(shards: str, data_folder: str, recipe: str, settings: list[str]) -> str:
    """Build the token vocabulary from the words of the training shards; returns its location."""
    from components.run import places, train_detector

    chosen = places.recipe(recipe, settings)
    out = places.vocabulary(data_folder, chosen)
    train_detector.build_vocabulary(shards, out, chosen)
    return out
