"""New annotated pictures -> shards next to the old ones, and the vocabulary that names them."""

from typing import NamedTuple

from kfp import dsl

from components import images


@dsl.component(base_image=images.DATA, install_kfp_package=False)
def gather_new_data(
    data: str, replay: str, registry: str, workspace: str, run_id: str,
    recipe: str, settings: list[str], gpus: int,
) -> NamedTuple("Gathered", [("run_folder", str), ("gpus", str)]):  # type: ignore[valid-type]  # fmt: skip
    """Read and shard the new data, extend the champion's vocabulary.

    Returns the run's folder, and the GPUs that the pods of later steps ask for.
    """
    from components.run import configuration, places, retrain

    folder = places.run_folder(workspace, run_id)
    retrain.gather(data, replay, folder, registry, places.recipe(recipe, settings))
    return folder, configuration.gpus_limit(gpus)
