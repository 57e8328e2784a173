"""The gate's decision as an artifact: the gate itself may have no second output."""

from kfp import dsl

from components import images


@dsl.component(base_image=images.CONTROL, install_kfp_package=False)
def show_decision(run_folder: str, decision: dsl.Output[dsl.Markdown]) -> None:
    """Show what the gate decided, and on which numbers."""
    from components.run import artifacts, places

    artifacts.show_decision(places.decision(run_folder), decision.path)
