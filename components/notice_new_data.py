"""Is there anything to learn?

The answer is its only output: in local runs, `dsl.If` on a named output is silently false.
"""

from kfp import dsl

from components import images


@dsl.component(base_image=images.CONTROL, install_kfp_package=False)
def notice_new_data(
    data: str,
    dataset: str,
    registry: str,
    champion: str,
    workspace: str,
    run_id: str,
    recipe: str,
    settings: list[str],
    replay: str,
    retry_refused: bool,
) -> bool:
    """Compare the data's hash with what the champion was trained on; note the champion."""
    from components.run import places, retrain

    asked = retrain.Asked(
        data=data, dataset=dataset, registry=registry, champion=champion, recipe=recipe,
        settings=settings, replay=replay, retry_refused=retry_refused,
    )  # fmt: skip
    return retrain.notice(asked, places.run_folder(workspace, run_id))
