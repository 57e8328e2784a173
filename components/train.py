"""Train the detector: in this pod, or from here on many nodes."""

from kfp import dsl

from components import images


@dsl.component(base_image=images.TRAIN, install_kfp_package=False)
def train(
    shards: str, vocabulary: str, run_folder: str, recipe: str, settings: list[str],
    deadline_seconds: int, num_nodes: int, gpus_per_node: int, image: str, cpu: str, memory: str, shared_memory: str,
    node_selector: dict[str, str], tolerations: list[dict[str, object]],
    object_store_secret: str, object_store_config: str, queue: str,
) -> str:  # fmt: skip
    """Train on the streams of the recipe; gives the location of the trained detector."""
    from components.run import train_detector

    sizes = (deadline_seconds, num_nodes, gpus_per_node, image, cpu, memory, shared_memory)
    nodes = train_detector.Nodes(
        *sizes, node_selector, tolerations, object_store_secret, object_store_config, queue
    )
    return train_detector.train(shards, vocabulary, run_folder, recipe, settings, nodes)
