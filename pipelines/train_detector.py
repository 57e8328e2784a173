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
    workspace: str = "s3://omnidet/pipeline",
    registry: str = "s3://omnidet/registry",
    recipe: str = PARAMS["recipe"],
    backbone: str = "",
    backbone_weights: str = "",
    train_steps: int = 0,
    settings: list[str] = [],  # noqa: B006
    num_nodes: int = 1,
    gpus_per_node: int = 0,
    cpus_per_node: str = "2",
    memory_per_node: str = "16Gi",
    node_selector: dict[str, str] = {},  # noqa: B006
    tolerations: list[dict[str, object]] = [],  # noqa: B006
    object_store: str = "omnidet-object-store",
) -> None:
    """Datasets -> shards -> vocabulary -> one training pass -> benchmarks -> gate -> registry.

    Args:
        data: Folder or s3:// URI of the datasets. Empty draws the synthetic world of the recipe
            tiny_world.
        data_version: Any text that names what `data` holds now, such as a date or hash: steps are
            cached by it. Empty takes a hash over the names and ETags of an s3:// folder. With
            `download`, give a new one when the data changes.
        download: Datasets of the catalogue to download into `data` first, such as ["coco", "lvis"].
            Those already there are not fetched again. Empty fetches nothing.
        workspace: Folder or s3:// URI for everything that runs make, each in its own folder.
        registry: Folder or s3:// URI of the model registry.
        recipe: Name of the recipe, such as tiny_world or coco_folder.
        backbone: Network to begin with: photo-small, which has seen photographs, or the name of a
            timm model. Empty leaves it to the recipe.
        backbone_weights: Where its weights come from: an s3:// URI, pip:PACKAGE, pretrained (which
            are downloaded) or random. Empty takes those that the image holds, else pretrained.
        train_steps: Optimizer steps; 0 leaves them to the recipe.
        settings: Any other field of the recipe, such as ["model.image_size=640",
            "train.optimizer.learning_rate=1e-4", "train.seed=1", "register.name=my-detector"], and
            what is rarely needed: job.queue, job.shared_memory and download.catalogue.
        num_nodes: Number of nodes to train on. 1 trains in the step's own pod, more in a Kubeflow
            TrainJob, for which the workspace must be s3://.
        gpus_per_node: Number of GPUs of each training node, one process each; 0 trains on the CPU.
        cpus_per_node: Number of CPUs that each training node asks for.
        memory_per_node: Memory limit of each training node with its unit, such as 64Gi; /dev/shm is
            part of it.
        node_selector: Labels of the nodes to train on, such as
            {"nvidia.com/gpu.product": "NVIDIA-H100-80GB-HBM3"}.
        tolerations: Taints to tolerate, such as
            [{"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"}].
        object_store: Name of the Secret with AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, and of
            the ConfigMap with AWS_ENDPOINT_URL, AWS_REGION and, for a private CA,
            OMNIDET_CA_CERTIFICATES. Either may be missing if the pods have a role, or the store is
            AWS.
    """
    store = Store(object_store)
    size = {
        "num_nodes": num_nodes, "gpus_per_node": gpus_per_node, "cpus_per_node": cpus_per_node,
        "memory_per_node": memory_per_node, "node_selector": node_selector,
        "tolerations": tolerations,
    }  # fmt: skip

    run = configure(
        recipe=recipe, settings=settings, backbone=backbone, backbone_weights=backbone_weights,
        train_steps=train_steps, data=data, data_version=data_version, workspace=workspace,
        run_id=dsl.PIPELINE_JOB_ID_PLACEHOLDER, download=download, registry=registry, **size,
    )  # fmt: skip
    prepare(run, store, is_cached=False)
    tell_registry(run, store)
    of_run = {
        "run_folder": run.outputs["run_folder"],
        "recipe": recipe,
        "settings": run.outputs["settings"],
    }

    source = {"data": data, "data_version": data_version, "names": download}
    shards, words = build_data(run, source, recipe, store)

    nodes = {
        **size, "image": images.TRAIN, "deadline_seconds": TRAIN_HOURS * HOUR,
        "object_store": object_store,
    }  # fmt: skip
    trained = train(shards=shards, vocabulary=words, **of_run, **nodes)
    # Twice as long: waiting in a queue counts for a pod that watches a job, but not for the job.
    prepare(trained, store, hours=2 * TRAIN_HOURS)
    tell_runtime(trained)
    asked = run.outputs
    place(trained, Machine.of_train_step(asked))

    measured = evaluate(model=trained.output, shards=shards, **of_run)
    prepare(measured, store, hours=24)
    place(
        measured, Machine(asked["gpus"], cpus_per_node, memory_per_node, node_selector, tolerations)
    )
    gate_and_register(trained.output, measured.outputs["Output"], registry, of_run, store)
