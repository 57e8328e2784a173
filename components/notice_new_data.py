"""Is there anything to learn?

The answer is its only output: in local runs, `dsl.If` on a named output is silently false.
"""

from kfp import dsl

from components import images


@dsl.component(base_image=images.CONTROL, install_kfp_package=False)
def notice_new_data(
    data: str, dataset: str, registry: str, champion: str, workspace: str, run_id: str,
    recipe: str, settings: list[str], backbone: str, backbone_weights: str, train_minutes: float,
    train_steps: int, retry_refused: bool, num_nodes: int, gpus_per_node: int,
) -> bool:  # fmt: skip
    """Compare the data's hash with what the champion was trained on; note what is to be made."""
    from components.run import asked_for, places, retrain

    asked = asked_for.Asked(
        data=data, dataset=dataset, registry=registry, champion=champion, recipe=recipe,
        settings=settings, backbone=backbone, backbone_weights=backbone_weights,
        train_minutes=train_minutes, train_steps=train_steps, retry_refused=retry_refused,
        num_processes=num_nodes * max(1, gpus_per_node),
    )  # fmt: skip
    return retrain.notice(asked, places.run_folder(workspace, run_id))
