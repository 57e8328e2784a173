"""Train the champion on the new categories."""

from kfp import dsl

from components import images


@dsl.component(base_image=images.TRAIN, install_kfp_package=False)
def train_on_new_data(
    run_folder: str, registry: str, recipe: str, settings: list[str],
    gpus: int, cpu: str, memory: str,
) -> str:  # fmt: skip
    """Measure the champion, then train from its weights; returns the detector's location."""
    from components.run import retrain

    print(f"on {gpus} GPUs, {cpu} CPUs, {memory}")  # local runs refuse a limit that no step takes
    return retrain.train(run_folder, registry, recipe, settings, gpus)
