"""Check a run's settings before anything costs time, and lay out its folders."""

from typing import NamedTuple

from kfp import dsl

from components import images


@dsl.component(base_image=images.CONTROL, install_kfp_package=False)
def configure(
    recipe: str, settings: list[str], backbone: str, backbone_weights: str, train_steps: int,
    data: str, data_version: str, workspace: str, run_id: str, download: list[str], registry: str,
    num_nodes: int, gpus_per_node: int, cpus_per_node: str, memory_per_node: str,
    node_selector: dict[str, str], tolerations: list[dict[str, object]],
) -> NamedTuple(  # type: ignore[valid-type]
    "Configured", [("data_settings", list), ("vocabulary_settings", list), ("settings", list),
                   ("data_folder", str), ("run_folder", str), ("gpus", str), ("train_gpus", str),
                   ("train_cpu", str), ("train_memory", str), ("train_node_selector", dict),
                   ("train_tolerations", list)]):  # fmt: skip
    """Check a run's settings.

    Returns the settings of the data, those of the vocabulary, all of them, the folders, and what
    the pods of later steps ask for.
    """
    from components.run import configuration, sizes

    return configuration.configure(configuration.RunParameters(
        recipe=recipe, settings=settings, backbone=backbone, backbone_weights=backbone_weights,
        train_steps=train_steps, data=data, data_version=data_version, workspace=workspace,
        run_id=run_id, download=download, registry=registry, size=sizes.Size(
            num_nodes, gpus_per_node, cpus_per_node, memory_per_node, node_selector, tolerations),
    ))  # fmt: skip
