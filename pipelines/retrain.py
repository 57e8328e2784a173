"""Annotated pictures: taught to the champion, or a new detector; stop if nothing is new."""

from kfp import dsl

from components import images
from components.evaluate_retrained import evaluate_retrained
from components.gate_retrained import gate_retrained
from components.gather_new_data import gather_new_data
from components.notice_new_data import notice_new_data
from components.register_retrained import register_retrained
from components.show_decision import show_decision
from components.train_on_new_data import train_on_new_data
from pipelines.placement import (
    HOUR,
    Machine,
    Store,
    place,
    prepare,
    tell_registry,
    tell_runtime,
)

TRAIN_HOURS = 48
"""Training is stopped after so long, in one pod or in many."""


@dsl.pipeline(name="omnidet-retrain", display_name="OmniDet: retrain the champion")
def retrain(
    data: str,
    dataset: str = "new",
    workspace: str = "s3://omnidet/pipeline",
    registry: str = "s3://omnidet/registry",
    champion: str = "champion",
    backbone: str = "",
    backbone_weights: str = "",
    train_minutes: float = 10.0,
    train_steps: int = 0,
    recipe: str = "",
    settings: list[str] = [],  # noqa: B006  KFP takes no tuple
    retry_refused: bool = False,
    num_nodes: int = 1,
    gpus_per_node: int = 0,
    cpus_per_node: str = "2",
    memory_per_node: str = "16Gi",
    node_selector: dict[str, str] = {},  # noqa: B006
    tolerations: list[dict[str, object]] = [],  # noqa: B006
    object_store: str = "omnidet-object-store",
) -> None:
    """New or changed pictures -> a champion that knows them and all it knew before.

    With `backbone`, or where the registry holds no model, a new detector. If nothing is new, or the
    gate refused the same before, the run succeeds after its first step.

    Args:
        data: Folder or s3:// URI of annotated pictures, of any format that OmniDet reads.
        dataset: Name of the dataset, after which its metrics are called, and a new detector.
            Changed data of the same name replaces it.
        workspace: Folder or s3:// URI for everything that runs make, each in its own folder.
        registry: Folder or s3:// URI of the model registry.
        champion: Version to start from: champion if the registry holds one model, else
            NAME@champion or NAME@3.
        backbone: Makes a new detector from this network: photo-small, which has seen photographs,
            or the name of a timm model. Empty teaches the champion; where the registry holds none,
            it is photo-small.
        backbone_weights: Where its weights come from: an s3:// URI, pip:PACKAGE, pretrained (which
            are downloaded) or random. Empty takes those that the image holds, else pretrained.
        train_minutes: Minutes to train and measure for in one process, unless steps are given. 0
            leaves the steps to the recipe.
        train_steps: Optimizer steps; 0 leaves them to train_minutes.
        recipe: Name of the recipe to go on from. Empty takes the champion's own, or that for
            photographs.
        settings: Fields of the recipe, such as ["retrain.max_drop=0.01", "retrain.keep=[\"all\"]"],
            and what is rarely needed: retrain.replay, job.queue and job.shared_memory.
            register.name makes what is taught a model of its own, and leaves the champion.
        retry_refused: Whether to try again what the gate refused before, what was registered and
            rolled back, or what a new detector was made of: the same data, champion and settings.
            Else such a run succeeds after its first step.
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
    of_run = {"registry": registry, "recipe": recipe, "settings": settings}
    own = {"workspace": workspace, "run_id": dsl.PIPELINE_JOB_ID_PLACEHOLDER}
    network = {"backbone": backbone, "backbone_weights": backbone_weights}
    length = {"train_minutes": train_minutes, "train_steps": train_steps}
    machine = {
        "gpus_per_node": gpus_per_node, "cpus_per_node": cpus_per_node,
        "memory_per_node": memory_per_node,
    }  # fmt: skip
    size = {
        **machine, "num_nodes": num_nodes, "node_selector": node_selector,
        "tolerations": tolerations,
    }  # fmt: skip

    # Nothing is cached: data and champion, which are compared, change while all parameters stay.
    noticed = notice_new_data(
        data=data, dataset=dataset, champion=champion, retry_refused=retry_refused,
        num_nodes=num_nodes, gpus_per_node=gpus_per_node, **own, **of_run, **network, **length,
    )  # fmt: skip
    prepare(noticed, store, is_cached=False)
    tell_registry(noticed, store)
    with dsl.If(noticed.output == True, name="something-new"):  # noqa: E712  KFP builds the condition
        gathered = gather_new_data(data=data, **own, **of_run, **size)
        prepare(gathered, store, hours=6, is_cached=False)
        asked = gathered.outputs
        trained = train_on_new_data(
            run_folder=asked["run_folder"], image=images.TRAIN,
            deadline_seconds=TRAIN_HOURS * HOUR, object_store=object_store,
            **of_run, **length, **size,
        )  # fmt: skip
        # Twice as long: waiting in a queue counts for a pod that watches a job, not for the job.
        prepare(trained, store, hours=2 * TRAIN_HOURS, is_cached=False)
        tell_runtime(trained)
        place(trained, Machine.of_train_step(asked))
        measured = evaluate_retrained(
            run_folder=asked["run_folder"], model=trained.output, **machine, **of_run
        )
        prepare(measured, store, hours=24, is_cached=False)
        measuring = (cpus_per_node, memory_per_node, node_selector, tolerations)
        place(measured, Machine(asked["gpus"], *measuring))
        folder = measured.outputs["Output"]
        passed = gate_retrained(run_folder=folder, **of_run)
        prepare(passed, store, is_cached=False)
        prepare(show_decision(run_folder=folder).after(passed), store, is_cached=False)
        with dsl.If(passed.output == True, name="passed"):  # noqa: E712
            registered = register_retrained(run_folder=folder, **of_run)
            prepare(registered, store, is_cached=False)
            tell_registry(registered, store)
