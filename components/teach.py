"""Teach the champion the new categories."""

from kfp import dsl

from components import images


@dsl.component(base_image=images.TRAIN, install_kfp_package=False)
def teach(
    run_folder: str, registry: str, recipe: str, settings: list[str], gpus: int, cpu: str, memory: str
) -> str:  # fmt: skip
    """Measure the champion untaught, then train from its weights beside a replay; gives the location of the detector."""
    from components.run import retrain

    print(f"on {gpus} GPUs, {cpu} CPUs, {memory}")  # local runs refuse a limit that no step takes
    return retrain.teach(run_folder, registry, recipe, settings, gpus)
