"""New annotated pictures -> shards next to the old ones, and the vocabulary that names them."""

from kfp import dsl

from components import images


@dsl.component(base_image=images.DATA, install_kfp_package=False)
def gather_new_data(
    data: str, replay: str, registry: str, workspace: str, run_id: str,
    recipe: str, settings: list[str],
) -> str:  # fmt: skip
    """Read and shard the new data, extend the champion's vocabulary; returns the run's folder."""
    from components.run import places, retrain

    folder = places.run_folder(workspace, run_id)
    return retrain.gather(data, replay, folder, registry, places.recipe(recipe, settings))
