"""Is there anything to learn?

The answer is its only output: in local runs, `dsl.If` on a named output is silently false.
"""

from kfp import dsl

from components import images


@dsl.component(base_image=images.CONTROL, install_kfp_package=False)
def notice_new_data(
    data: str, dataset: str, registry: str, champion: str, workspace: str, run_id: str
) -> bool:
    """Compare the data's hash with what the champion was trained on; note the champion."""
    from components.run import places, retrain

    return retrain.notice(data, dataset, registry, champion, places.run_folder(workspace, run_id))
