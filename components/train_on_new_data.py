"""Train on the new data: in this pod, or in a TrainJob of many nodes that this pod watches."""

from kfp import dsl

from components import images


@dsl.component(base_image=images.TRAIN, install_kfp_package=False)
def train_on_new_data(
    run_folder: str, registry: str, recipe: str, settings: list[str],
    train_minutes: float, train_steps: int,
    deadline_seconds: int, num_nodes: int, gpus_per_node: int, image: str,
    cpus_per_node: str, memory_per_node: str,
    node_selector: dict[str, str], tolerations: list[dict[str, object]], object_store: str,
) -> str:  # fmt: skip
    """Train from the weights of the champion or a backbone; returns the detector's location."""
    from components.run import retrain, training

    nodes = training.Nodes(
        deadline_seconds=deadline_seconds, num_nodes=num_nodes, gpus_per_node=gpus_per_node,
        image=image, cpus_per_node=cpus_per_node, memory_per_node=memory_per_node,
        node_selector=node_selector, tolerations=tolerations, object_store=object_store,
    )  # fmt: skip
    return retrain.train(run_folder, registry, recipe, settings, nodes, train_minutes, train_steps)
