"""New categories for the champion: stop if nothing is new, else train, compare, register."""

from kfp import dsl

from components.evaluate_retrained import evaluate_retrained
from components.gate_retrained import gate_retrained
from components.gather_new_data import gather_new_data
from components.notice_new_data import notice_new_data
from components.register_retrained import register_retrained
from components.show_decision import show_decision
from components.train_on_new_data import train_on_new_data
from pipelines.defaults import PARAMS
from pipelines.placement import Machine, Store, place, prepare, tell_registry


@dsl.pipeline(name="omnidet-retrain", display_name="OmniDet: retrain the champion")
def retrain(
    data: str,
    dataset: str = "new",
    workspace: str = "s3://omnidet/pipeline",
    registry: str = "s3://omnidet/registry",
    champion: str = "champion",
    replay: str = "",
    recipe: str = PARAMS["recipe"],
    settings: list[str] = [],  # noqa: B006  KFP takes no tuple
    retry_refused: bool = False,
    gpus: int = 0,
    cpu: str = "2",
    memory: str = "16Gi",
    node_selector: dict[str, str] = {},  # noqa: B006
    tolerations: list[dict[str, object]] = [],  # noqa: B006
    object_store_secret: str = "omnidet-object-store",
    object_store_config: str = "omnidet-object-store",
) -> None:
    """New or changed pictures -> a champion that knows them and all it knew before.

    If nothing is new, or the gate refused the same before, the run succeeds after its first step.

    Args:
        data: Folder or s3:// URI of annotated pictures: COCO json, YOLO txt or Pascal VOC xml.
        dataset: Name of the dataset: its metrics are called <dataset>/AP. Changed data of the same
            name replaces it.
        workspace: Folder or s3:// URI for everything that runs make, each in its own folder.
        registry: Folder or s3:// URI of the model registry.
        champion: Version to start from: champion if the registry holds one model, else
            NAME@champion or NAME@3.
        replay: Shards that the champion was trained on, if they have moved. none trains on the new
            data alone, and so forgets.
        recipe: Name of the recipe that the champion was trained with.
        settings: Fields of the recipe, such as ["retrain.steps=2000", "retrain.max_drop=0.01"].
        retry_refused: Whether to try again what the gate refused before: the same data, champion,
            recipe, settings and replay. Else such a run succeeds after its first step.
        gpus: GPUs of the pod that trains, one process each; 0 trains on the CPU.
        cpu: CPU request of the pods that train and measure.
        memory: Memory limit of the pods that train and measure, /dev/shm included.
        node_selector: Labels of the nodes to train on, such as
            {"nvidia.com/gpu.product": "NVIDIA-H100-80GB-HBM3"}.
        tolerations: Taints to tolerate, such as
            [{"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"}].
        object_store_secret: Secret with AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY; not needed if
            the pods have a role.
        object_store_config: ConfigMap with AWS_ENDPOINT_URL and AWS_REGION; not needed for AWS.
    """
    store = Store(object_store_secret, object_store_config)
    of_run = {"registry": registry, "recipe": recipe, "settings": settings}
    size = {"gpus": gpus, "cpu": cpu, "memory": memory}
    own = {"workspace": workspace, "run_id": dsl.PIPELINE_JOB_ID_PLACEHOLDER}

    # Nothing is cached: data and champion, which are compared, change while all parameters stay.
    noticed = notice_new_data(
        data=data, dataset=dataset, champion=champion, replay=replay, retry_refused=retry_refused,
        **own, **of_run,
    )  # fmt: skip
    prepare(noticed, store, is_cached=False)
    tell_registry(noticed, store)
    with dsl.If(noticed.output == True, name="something-new"):  # noqa: E712  KFP builds the condition
        gathered = gather_new_data(data=data, replay=replay, gpus=gpus, **own, **of_run)
        prepare(gathered, store, hours=6, is_cached=False)
        folder = gathered.outputs["run_folder"]
        machine = Machine(gathered.outputs["gpus"], cpu, memory, node_selector, tolerations)
        trained = train_on_new_data(run_folder=folder, **size, **of_run)
        prepare(trained, store, hours=48, is_cached=False)
        place(trained, machine)
        measured = evaluate_retrained(run_folder=folder, model=trained.output, **size, **of_run)
        prepare(measured, store, hours=24, is_cached=False)
        place(measured, machine)
        folder = measured.outputs["Output"]
        passed = gate_retrained(run_folder=folder, **of_run)
        prepare(passed, store, is_cached=False)
        prepare(show_decision(run_folder=folder).after(passed), store, is_cached=False)
        with dsl.If(passed.output == True, name="passed"):  # noqa: E712
            registered = register_retrained(run_folder=folder, **of_run)
            prepare(registered, store, is_cached=False)
            tell_registry(registered, store)
