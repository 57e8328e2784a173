"""New annotated pictures -> shards beside the old ones, and the vocabulary that names them."""

from kfp import dsl

from components import images


@dsl.component(base_image=images.DATA, install_kfp_package=False)
def gather_new_data(
    data: str,
    replay: str,
    registry: str,
    workspace: str,
    run_id: str,
    recipe: str,
    settings: list[str],
) -> str:
    """Read, check and shard the new data, extend the champion's vocabulary; gives the run's folder."""
    from components.run import retrain

    return retrain.gather(
        data, replay, retrain.run_folder(workspace, run_id), registry, recipe, settings
    )
