"""Is there anything to learn? It has this one output alone: `dsl.If` on a named output is silently false in local runs."""

from kfp import dsl

from components import images


@dsl.component(base_image=images.CONTROL, install_kfp_package=False)
def notice_new_data(
    data: str, dataset: str, registry: str, champion: str, workspace: str, run_id: str
) -> bool:
    """Compare the hash over the data with what the champion was taught; note the champion in the run's folder."""
    from components.run import retrain

    return retrain.notice(data, dataset, registry, champion, retrain.run_folder(workspace, run_id))
