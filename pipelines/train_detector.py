"""The main job on a cluster; the same steps as `dvc.yaml`."""

from kfp import dsl

from components import images
from components.configure import configure
from components.evaluate import evaluate
from components.train import train
from pipelines.defaults import PARAMS
from pipelines.graph import build_data, gate_and_register
from pipelines.placement import HOUR, Machine, Store, place, prepare, tell_registry, tell_runtime

TRAIN_HOURS = 7 * 24
"""Training is stopped after so long, in one pod or in many."""


@dsl.pipeline(name="omnidet-train-detector", display_name="OmniDet: train a detector")
def train_detector(
    data: str = "",
    data_version: str = "",
    download: list[str] = [],  # noqa: B006  KFP takes no tuple
    catalogue: str = "",
    workspace: str = "s3://omnidet/pipeline",
    registry: str = "s3://omnidet/registry",
    recipe: str = PARAMS["recipe"],
    train_images: int = PARAMS["world"]["train_images"],
    image_size: int = PARAMS["model"]["image_size"],
    train_steps: int = PARAMS["train"]["steps"],
    learning_rate: float = PARAMS["train"]["optimizer"]["learning_rate"],
    seed: int = PARAMS["train"]["seed"],
    settings: list[str] = [],  # noqa: B006
    num_nodes: int = 1,
    gpus_per_node: int = 0,
    cpu: str = "2",
    memory: str = "16Gi",
    shared_memory: str = "8Gi",
    node_selector: dict[str, str] = {},  # noqa: B006
    tolerations: list[dict[str, object]] = [],  # noqa: B006
    queue: str = "",
    object_store_secret: str = "omnidet-object-store",
    object_store_config: str = "omnidet-object-store",
) -> None:
    """Datasets -> shards -> vocabulary -> one training pass -> benchmarks -> gate -> registry.

    Args:
        data: Folder or s3:// URI of the datasets. Empty draws the synthetic world of the recipe
            tiny_world.
        data_version: Any text that names what `data` holds now, such as a date or hash. Give a new
            one when the data changes: steps are cached by it.
        download: Datasets of the catalogue to download into `data` first, such as ["coco", "lvis"].
            Those already there are not fetched again. Empty fetches nothing.
        catalogue: File or s3:// URI of your own catalogue, with your mirrors or datasets; empty
            uses OmniDet's.
        workspace: Folder or s3:// URI for everything that runs make, each in its own folder.
        registry: Folder or s3:// URI of the model registry.
        recipe: Name of the recipe: tiny_world, coco_folder. If you change it, look at the next five
            numbers too.
        train_images: Training scenes of the drawn world; 0 leaves it to the recipe. Unused if
            `data` is given.
        image_size: Side of the detector's input in pixels; 0 leaves it to the recipe.
        train_steps: Optimizer steps; 0 leaves it to the recipe.
        learning_rate: Highest learning rate; 0 leaves it to the recipe.
        seed: Seed of weights, order of samples and augmentation.
        settings: Any other field of the recipe, such as ["register.name=my-detector",
            "mixing.workers=8"]; overrides the parameters above.
        num_nodes: 1 trains in the step's own pod. More train in a Kubeflow TrainJob, for which the
            workspace must be s3://.
        gpus_per_node: GPUs of each training node, one process each; 0 trains on the CPU.
        cpu: CPU request of a training node.
        memory: Memory limit of a training node, /dev/shm included.
        shared_memory: Size of /dev/shm in the pods of a TrainJob. With one node, the memory limit
            bounds it.
        node_selector: Labels of the nodes to train on, such as
            {"nvidia.com/gpu.product": "NVIDIA-H100-80GB-HBM3"}.
        tolerations: Taints to tolerate, such as
            [{"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"}].
        queue: Kueue LocalQueue for training on several nodes; empty starts at once.
        object_store_secret: Secret with AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY; not needed if
            the pods have a role.
        object_store_config: ConfigMap with AWS_ENDPOINT_URL and AWS_REGION; not needed for AWS.
    """
    store = Store(object_store_secret, object_store_config)
    size = {
        "num_nodes": num_nodes, "gpus_per_node": gpus_per_node, "cpu": cpu, "memory": memory,
        "node_selector": node_selector, "tolerations": tolerations,
    }  # fmt: skip

    run = configure(
        recipe=recipe, settings=settings, train_images=train_images, image_size=image_size,
        train_steps=train_steps, learning_rate=learning_rate, seed=seed, data=data,
        data_version=data_version, workspace=workspace, run_id=dsl.PIPELINE_JOB_ID_PLACEHOLDER,
        download=download, catalogue=catalogue, registry=registry, **size,
    )  # fmt: skip
    prepare(run, store, is_cached=False)
    tell_registry(run, store)
    of_run = {
        "run_folder": run.outputs["run_folder"],
        "recipe": recipe,
        "settings": run.outputs["settings"],
    }

    source = {
        "data": data,
        "data_version": data_version,
        "names": download,
        "catalogue": catalogue,
    }
    shards, words = build_data(run, source, recipe, store)

    nodes = {
        **size, "image": images.TRAIN, "shared_memory": shared_memory, "queue": queue,
        "deadline_seconds": TRAIN_HOURS * HOUR,
        "object_store_secret": object_store_secret, "object_store_config": object_store_config,
    }  # fmt: skip
    trained = train(shards=shards, vocabulary=words, **of_run, **nodes)
    # Twice as long: waiting in a queue counts for a pod that watches a job, but not for the job.
    prepare(trained, store, hours=2 * TRAIN_HOURS)
    tell_runtime(trained)
    asked = run.outputs
    place(
        trained,
        Machine(
            asked["train_gpus"], asked["train_cpu"], asked["train_memory"],
            asked["train_node_selector"], asked["train_tolerations"],
        ),
    )  # fmt: skip

    measured = evaluate(model=trained.output, shards=shards, **of_run)
    prepare(measured, store, hours=24)
    place(measured, Machine(asked["gpus"], cpu, memory, node_selector, tolerations))
    gate_and_register(trained.output, measured.outputs["Output"], registry, of_run, store)
