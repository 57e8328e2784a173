"""New annotated pictures -> shards next to the old ones, and the vocabulary that names them."""

from typing import NamedTuple

from kfp import dsl

from components import images


@dsl.component(base_image=images.DATA, install_kfp_package=False)
def gather_new_data(
    data: str, registry: str, workspace: str, run_id: str, recipe: str, settings: list[str],
    num_nodes: int, gpus_per_node: int, cpus_per_node: str, memory_per_node: str,
    node_selector: dict[str, str], tolerations: list[dict[str, object]],
) -> NamedTuple(  # type: ignore[valid-type]
    "Gathered", [("run_folder", str), ("gpus", str), ("train_gpus", str), ("train_cpu", str),
                 ("train_memory", str), ("train_node_selector", dict),
                 ("train_tolerations", list)]):  # fmt: skip
    """Read and shard the new data, make or extend the vocabulary.

    Returns the run's folder, and what the pods of later steps ask for.
    """
    from components.run import configuration, places, retrain, sizes

    folder = places.run_folder(workspace, run_id)
    retrain.gather(data, folder, registry, recipe, settings)
    return folder, *configuration.pods(sizes.Size(
        num_nodes, gpus_per_node, cpus_per_node, memory_per_node, node_selector, tolerations,
    ))  # fmt: skip
