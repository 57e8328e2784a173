"""New categories for the champion: stop early where nothing is new, else teach, compare old and new, register."""

from kfp import dsl

from components.gate_taught import gate_taught
from components.gather_new_data import gather_new_data
from components.judge import judge
from components.notice_new_data import notice_new_data
from components.register_taught import register_taught
from components.show_decision import show_decision
from components.teach import teach
from pipelines.defaults import PARAMS
from pipelines.placement import place, prepare, tell_registry


@dsl.pipeline(name="omnidet-retrain", display_name="OmniDet: teach the champion new categories")
def retrain(
    data: str,
    dataset: str = "new",
    workspace: str = "s3://omnidet/pipeline",
    registry: str = "s3://omnidet/registry",
    champion: str = "champion",
    replay: str = "",
    recipe: str = PARAMS["recipe"],
    settings: list[str] = [],
    gpus: int = 0,
    cpu: str = "2",
    memory: str = "16Gi",
    node_selector: dict[str, str] = {},
    tolerations: list[dict[str, object]] = [],
    object_store_secret: str = "omnidet-object-store",
    object_store_config: str = "omnidet-object-store",
) -> None:
    """New or changed pictures -> a champion that knows them and all it knew. Green, and nothing done, where nothing is new.

    Args:
        data: Folder or s3:// URI of annotated pictures: COCO json, YOLO txt or Pascal VOC xml.
        dataset: Name of the dataset: its metrics are called <dataset>/AP. Changed data of the same name takes its place.
        workspace: Folder or s3:// URI for everything a run makes. Runs write to folders of their own below it.
        registry: Folder or s3:// URI of the model registry.
        champion: Version to start from: champion where the registry holds one model, NAME@champion, or NAME@3.
        replay: Shards that the champion was trained on, where they moved; none trains on the new data alone, which forgets.
        recipe: Name of the recipe that the champion was trained with.
        settings: Fields of the recipe, as ["retrain.steps=2000", "retrain.max_drop=0.01"].
        gpus: GPUs of the pod that trains, one process each; 0 trains on the CPU.
        cpu: CPU request of the pods that train and measure.
        memory: Memory limit of the pods that train and measure. What stands in /dev/shm counts.
        node_selector: Labels of the nodes to train on, as {"nvidia.com/gpu.product": "NVIDIA-H100-80GB-HBM3"}.
        tolerations: Taints to tolerate, as [{"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"}].
        object_store_secret: Secret with AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY; may be missing where pods have a role.
        object_store_config: ConfigMap with AWS_ENDPOINT_URL and AWS_REGION; may be missing for AWS itself.
    """
    store = (object_store_secret, object_store_config)
    of_run = {"registry": registry, "recipe": recipe, "settings": settings}
    size = {"gpus": gpus, "cpu": cpu, "memory": memory}
    own = {"workspace": workspace, "run_id": dsl.PIPELINE_JOB_ID_PLACEHOLDER}

    # Nothing is cached: what is compared, the data and the champion, changes without any parameter.
    noticed = notice_new_data(
        data=data, dataset=dataset, registry=registry, champion=champion, **own
    )
    prepare(noticed, *store, is_cached=False)
    tell_registry(noticed, object_store_config)
    with dsl.If(noticed.output == True, name="something-new"):
        gathered = gather_new_data(data=data, replay=replay, **own, **of_run)
        prepare(gathered, *store, hours=6, is_cached=False)
        taught = teach(run_folder=gathered.output, **size, **of_run)
        prepare(taught, *store, hours=48, is_cached=False)
        place(taught, gpus, cpu, memory, node_selector, tolerations)
        judged = judge(run_folder=gathered.output, model=taught.output, **size, **of_run)
        prepare(judged, *store, hours=24, is_cached=False)
        place(judged, gpus, cpu, memory, node_selector, tolerations)
        passed = gate_taught(run_folder=judged.outputs["Output"], **of_run)
        prepare(passed, *store, is_cached=False)
        prepare(
            show_decision(run_folder=judged.outputs["Output"]).after(passed),
            *store,
            is_cached=False,
        )
        with dsl.If(passed.output == True, name="passed"):
            registered = register_taught(run_folder=judged.outputs["Output"], **of_run)
            prepare(registered, *store, is_cached=False)
            tell_registry(registered, object_store_config)
