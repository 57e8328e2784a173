"""Check a run's settings before anything costs time, and lay out its folders."""

from typing import NamedTuple

from kfp import dsl

from components import images


@dsl.component(base_image=images.CONTROL, install_kfp_package=False)
def configure(
    recipe: str, settings: list[str], train_images: int, image_size: int, train_steps: int,
    learning_rate: float, seed: int, data: str, data_version: str, workspace: str, run_id: str,
    download: list[str], catalogue: str, registry: str, num_nodes: int, gpus_per_node: int,
    cpu: str, memory: str, node_selector: dict[str, str], tolerations: list[dict[str, object]],
) -> NamedTuple(  # type: ignore[valid-type]
    "Configured", [("data_settings", list), ("vocabulary_settings", list), ("settings", list),
                   ("data_folder", str), ("run_folder", str), ("gpus", str), ("train_gpus", str),
                   ("train_cpu", str), ("train_memory", str), ("train_node_selector", dict),
                   ("train_tolerations", list)]):  # fmt: skip
    """Check a run's settings.

    Returns the settings of the data, those of the vocabulary, all of them, the folders, and what
    the pods of later steps ask for.
    """
    from components.run import configuration

    return configuration.configure(configuration.RunParameters(
        recipe=recipe, settings=settings, train_images=train_images, image_size=image_size,
        train_steps=train_steps, learning_rate=learning_rate, seed=seed, data=data,
        data_version=data_version, workspace=workspace, run_id=run_id, download=download,
        catalogue=catalogue, registry=registry, num_nodes=num_nodes, gpus_per_node=gpus_per_node,
        cpu=cpu, memory=memory, node_selector=node_selector, tolerations=tolerations,
    ))  # fmt: skip
