"""What the components do beside one call of a step: the run's settings and folders, starting training, artifacts for the UI.

<workspace>/data/<key>/   world, shards, vocabulary-<hash>: the key names what they are made from, so runs share them
<workspace>/runs/<id>/    model, evaluation, metrics.json, report.html, gate.json, registered.json: one run's own
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import EllipsisType
from typing import Any, NamedTuple

import omnidet
from omnidet import config, storage
from omnidet.data import shards as shard_folder
from omnidet.data.download import catalogue, to_folder
from omnidet.data.download import datasets as downloading
from omnidet.recipes.loading import load_recipe
from omnidet.recipes.recipe import Recipe
from omnidet.registry import kubeflow, versions
from omnidet.steps import train_detector
from omnidet.training import runs

NUMBERS = (
    "world.train_images",
    "model.image_size",
    "train.steps",
    "train.optimizer.learning_rate",
    "train.seed",
)
"""Fields with a pipeline parameter of their own."""
DATA_PARTS = ("world", "shards")
WEIGHTS = "model.safetensors"
MAX_RESTARTS = 3
"""Of the processes of one pod; as many as `manifests/runtime` allows to several nodes."""
NAMESPACE_FILE = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")


class Configured(NamedTuple):
    """A run as its steps take it. Data and vocabulary get their own settings alone, so that other ones leave them cached."""

    data_settings: list[str]
    vocabulary_settings: list[str]
    settings: list[str]
    data_folder: str
    run_folder: str


@dataclass(frozen=True)
class Nodes:
    """Where training runs; `TrainJob` in `components/trainjob/manifest.py` explains the fields."""

    deadline_seconds: int
    num_nodes: int
    gpus_per_node: int
    image: str
    cpu: str
    memory: str
    shared_memory: str
    node_selector: Mapping[str, str]
    tolerations: Sequence[Mapping[str, Any]]
    object_store_secret: str
    object_store_config: str
    queue: str


def recipe(name: str, settings: Sequence[str]) -> Recipe:
    """The recipe with `field=value` settings."""
    return load_recipe(None, name, list(settings))


def configure(
    name: str, settings: Sequence[str], numbers: Sequence[float], data: str, data_version: str, workspace: str, run_id: str,
    registry: str = "", download: Sequence[str] = (), own_catalogue: str = "",
) -> Configured:  # fmt: skip
    """Settings and folders of a run. Raises ValueError for what is wrong with any of them.

    Args:
        settings: stand above `numbers`.
        numbers: one for each of `NUMBERS`; 0 leaves it to the recipe, except a seed.
        download: datasets that are brought into `data` first.
        registry: is looked into, where it is given: one that is away would else be noticed after days of training.
    """
    plain = recipe(name, ())
    given = [
        f"{field}={_number(number)}"
        for field, number in zip(NUMBERS, numbers, strict=True)
        if (number or field == "train.seed")
        and not (field.startswith("world.") and (plain.world is None or data))
    ]
    every = [*given, *settings]
    whole = recipe(name, every)
    if not data and whole.world is None:
        raise ValueError(
            f"recipe {name} reads real data: set the parameter `data` to the folder or s3:// URI that holds it"
        )
    if whole.world is not None and not data:
        whole.world.require_drawable()
    if not run_id:
        raise ValueError("the run has no id: its outputs would stand where those of other runs do")
    check_places(
        {
            "workspace": workspace,
            **({"data": data} if data else {}),
            **({"registry": registry} if registry else {}),
        }
    )
    wanted(data, download, own_catalogue)
    if registry:
        check_registry(registry)
    facts = [
        omnidet.__version__,
        data,
        data_version,
        *(config.describe(getattr(whole, part)) for part in DATA_PARTS),
    ]
    facts += [[*sorted(set(download)), own_catalogue]] if download else []
    return Configured(
        [s for s in every if s.partition(".")[0].strip() in DATA_PARTS],
        [s for s in every if s.partition(".")[0].strip() == "vocabulary"],
        every,
        storage.join(workspace, "data", _hash(facts)),
        storage.join(workspace, "runs", run_id),
    )


def check_places(places: Mapping[str, str], is_on_cluster: bool | None = None) -> None:
    """Raise ValueError for a location that is empty, which would mean the root, or that is lost with the pod of its step.

    Args:
        places: by the names of their parameters.
        is_on_cluster: whether the steps run there; left out, whether this process does.
    """
    for name, place in places.items():
        if not place.strip():
            raise ValueError(f"{name} is empty: give a folder or s3:// URI")
        if "://" in place and not storage.is_s3(place):
            raise ValueError(f"{name}={place} is neither folder nor s3:// URI: give one of them")
        if storage.is_s3(place) and not place.removeprefix("s3://").partition("/")[0]:
            raise ValueError(f"{name}={place} names no bucket: give s3://bucket/folder")
        if (bool(_namespace()) if is_on_cluster is None else is_on_cluster) and not storage.is_s3(
            place
        ):
            raise ValueError(
                f"{name}={place} is a folder of one pod, lost when it ends: give an s3:// URI"
            )


def check_registry(registry: str) -> None:
    """Raise ValueError or OSError unless the registry, and Kubeflow's where one is named, can be asked."""
    versions.check(registry)
    storage.list_folders(registry)  # raises what is wrong with the object store
    if kubeflow.address():
        kubeflow.connect()


def wanted(data: str, names: Sequence[str], own_catalogue: str) -> list[catalogue.Dataset]:
    """The datasets of these names. Raises ValueError for what could not be brought into `data`."""
    if not names:
        return []
    if not data:
        raise ValueError(
            f"download={json.dumps(list(names))}: set the parameter `data` to the folder or s3:// URI to bring it into"
        )
    chosen = catalogue.choose(names, own_catalogue or None)
    for dataset in chosen:
        for file in dataset.files:
            if file.by_hand or file.token:
                needs = (
                    f"the access token {file.token}"
                    if file.token
                    else f"somebody who accepts its licence at {file.by_hand}"
                )
                raise ValueError(
                    f"download: {dataset.name} needs {needs}: bring it with `omnidet download {dataset.name} --out s3://...` "
                    "beforehand, and leave it out here"
                )
    return chosen


def download(data: str, names: Sequence[str], own_catalogue: str, name: str) -> str:
    """Bring datasets of the catalogue to where the recipe looks for them; gives the location of all datasets."""
    parts = recipe(name, ()).shards
    folders = {part.source: part.path for part in (*parts.train, *parts.evaluation)}
    how = to_folder.Options(num_threads=downloading.files_at_once(data))
    for dataset in wanted(data, names, own_catalogue):
        folder = folders.get(dataset.name, ".")
        downloading.download(dataset, data if folder == "." else storage.join(data, folder), how)
    return data


def datasets(data: str, data_folder: str, name: str, settings: Sequence[str]) -> str:
    """Where the datasets are: as given, or drawn."""
    if data:
        return data
    out = storage.join(data_folder, "world")
    train_detector.draw_world(out, recipe(name, settings))
    return out


def shards(data_folder: str) -> str:
    """Location of the shard folder."""
    return storage.join(data_folder, "shards")


def vocabulary(data_folder: str, name: str, settings: Sequence[str]) -> str:
    """Location of the vocabulary that these settings make from the shards."""
    return storage.join(
        data_folder, f"vocabulary-{_hash(config.describe(recipe(name, settings).vocabulary))}"
    )


def metrics(run_folder: str) -> str:
    """Location of the flat metrics file."""
    return storage.join(run_folder, "metrics.json")


def decision(run_folder: str) -> str:
    """Location of the gate's decision."""
    return storage.join(run_folder, "gate.json")


def plan_shards(data: str, data_folder: str, name: str, settings: Sequence[str]) -> list[str]:
    """Plan the shards, and give the parts of the build, as `build_shard_set` takes them."""
    chosen = recipe(name, settings)
    sets, total = train_detector.plan_shards(data, shards(data_folder), chosen), chosen.shards.parts
    common = {"data": data, "data_folder": data_folder, "recipe": name, "settings": list(settings)}
    return [
        json.dumps({"set": set_name, "part": [i + 1, total], **common})
        for set_name in sets
        for i in range(total)
    ]


def build_shard_set(part: str) -> str:
    """Build the shard set of a part of the plan; returns its name."""
    own = json.loads(part)
    chosen, own_part = recipe(own["recipe"], own["settings"]), (own["part"][0], own["part"][1])
    train_detector.build_shard_set(
        own["data"], shards(own["data_folder"]), own["set"], chosen, part=own_part
    )
    return str(own["set"])


def merge_shards(
    data_folder: str, set_names: Sequence[str], manifest: str
) -> dict[str, str | float]:
    """Write the index and the artifact that stands for the shards; returns flat facts for its metadata."""
    index = train_detector.merge_shards(shards(data_folder))
    if set(index.sets) != set(set_names):
        raise ValueError(
            f"{index.location} holds {', '.join(sorted(index.sets))}, built were {', '.join(sorted(set_names))}"
        )
    counts = {name: shard_folder.num_samples(parts) for name, parts in sorted(index.sets.items())}
    content = {
        "uri": index.location,
        "dataset_version": index.dataset_version,
        "samples": counts,
        "shards": {
            name: {part.path: part.sha256 for part in parts}
            for name, parts in sorted(index.sets.items())
        },
        "report": index.report,
    }
    Path(manifest).write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    samples = {f"samples_{name.replace('/', '_')}": float(count) for name, count in counts.items()}
    return {"shards_uri": index.location, "dataset_version": index.dataset_version, **samples}


def train(
    shards_uri: str,
    vocabulary_uri: str,
    run_folder: str,
    name: str,
    settings: Sequence[str],
    nodes: Nodes,
) -> str:
    """Train in this process, in one process a GPU of this pod, or in a TrainJob; returns the location of the detector."""
    out = storage.join(run_folder, "model")
    if nodes.num_nodes == 1 and nodes.gpus_per_node <= 1:
        work = None if storage.is_s3(run_folder) else str(Path(run_folder).parents[1] / "work")
        train_detector.train(shards_uri, vocabulary_uri, out, recipe(name, settings), work)
        return out
    inputs = ["--shards", shards_uri, "--vocabulary", vocabulary_uri, "--out", out]
    command = [
        "-m",
        "omnidet.cli",
        "train",
        "--recipe",
        name,
        *(p for s in settings for p in ("--set", s)),
        *inputs,
    ]
    if nodes.num_nodes == 1:
        # A lost rank, or one told to leave, costs the steps since the checkpoint; several nodes are restarted by the JobSet.
        options = [
            "--standalone",
            f"--nproc-per-node={nodes.gpus_per_node}",
            f"--max-restarts={MAX_RESTARTS}",
        ]
        ran = subprocess.run([sys.executable, "-m", "torch.distributed.run", *options, *command])
        if ran.returncode:
            raise RuntimeError(
                f"training in {nodes.gpus_per_node} processes ended with exit code {ran.returncode}: see above"
            )
    else:
        _train_on_nodes(command, out, Path(run_folder).name, nodes)
    _check_detector(out)
    return out


def _train_on_nodes(command: list[str], out: str, run_id: str, nodes: Nodes) -> None:
    from components.trainjob import (
        cluster,  # the Kubernetes client is in the images of the cluster alone
    )
    from components.trainjob import job as trainjob

    if not storage.is_s3(out):
        raise ValueError(
            f"{out} is a local path: nodes share nothing but the object store, so the workspace must be s3://"
        )
    namespace = cluster.own_namespace()
    if namespace is None:
        raise ValueError(
            f"num_nodes is {nodes.num_nodes}, but this is no pod of a cluster: set num_nodes to 1"
        )
    job = trainjob.TrainJob(
        run_id=run_id,
        namespace=namespace,
        image=nodes.image,
        command=("torchrun", *command),
        deadline_seconds=nodes.deadline_seconds,
        num_nodes=nodes.num_nodes,
        gpus_per_node=nodes.gpus_per_node,
        cpu=nodes.cpu,
        memory=nodes.memory,
        shared_memory=nodes.shared_memory,
        env=_object_store(nodes),
        node_selector=nodes.node_selector,
        tolerations=tuple(_toleration(toleration) for toleration in nodes.tolerations),
        service_account="omnidet-train",
        queue=nodes.queue or None,
    )
    trainjob.run(job, cluster.Cluster(), lambda: _check_detector(out))


def _object_store(nodes: Nodes) -> dict[str, Any]:
    """References to what the pipeline's own pods get from the same Secret and ConfigMap."""
    from components.trainjob.manifest import Reference

    variables: dict[str, Any] = {"OMNIDET_GIT_COMMIT": runs.git_commit()}
    for key in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        variables[key] = Reference("secret", nodes.object_store_secret, key, optional=True)
    for key in ("AWS_ENDPOINT_URL", "AWS_REGION"):
        variables[key] = Reference("config", nodes.object_store_config, key, optional=True)
    return variables


def _toleration(given: Mapping[str, Any]) -> dict[str, Any]:
    """KFP hands over every number as a float."""
    return {key: int(value) if isinstance(value, float) else value for key, value in given.items()}


def _check_detector(out: str) -> None:
    """Raise unless a whole detector stands there."""
    json.loads(storage.read_text(storage.join(out, "config.json")))
    if not storage.exists(storage.join(out, WEIGHTS)):
        raise FileNotFoundError(f"{storage.join(out, WEIGHTS)} does not exist")


def evaluate(
    model: str,
    shards_uri: str,
    run_folder: str,
    name: str,
    settings: Sequence[str],
    metrics_file: str,
    table: str,
    report: str,
) -> dict[str, float]:
    """Benchmarks and report into the run's folder, and copies of the numbers and the report for the UI."""
    chosen, evaluation = recipe(name, settings), storage.join(run_folder, "evaluation")
    values = train_detector.evaluate(
        model, shards_uri, metrics(run_folder), evaluation, chosen
    ).values
    page = storage.join(run_folder, "report.html")
    train_detector.write_report(model, shards_uri, evaluation, page, chosen)
    rows = "".join(f"| {key} | {value:.3f} |\n" for key, value in values.items())
    Path(metrics_file).write_text(json.dumps(values, indent=1) + "\n", encoding="utf-8")
    Path(table).write_text(
        f"# {chosen.register.name}\n\n| metric | value |\n|---|---|\n{rows}", encoding="utf-8"
    )
    Path(report).write_bytes(storage.read_bytes(page))
    return dict(values)


def show_decision(run_folder: str, out: str) -> None:
    """The gate's decision as Markdown."""
    content = json.dumps(
        json.loads(storage.read_text(decision(run_folder))), indent=1, ensure_ascii=False
    )
    Path(out).write_text(f"# Gate\n\n```json\n{content}\n```\n", encoding="utf-8")


def register(
    model: str,
    metrics_uri: str,
    registry: str,
    run_folder: str,
    name: str,
    settings: Sequence[str],
    out: str,
    run_name: str = "",
) -> dict[str, str]:
    """Register, and note in the run's folder and the artifact what was registered; returns that.

    Raises ValueError where the champion is no longer the one that the gate compared with.
    """
    # The Model Registry links the version to its run.
    source = {"ID": Path(run_folder).name, "NAME": run_name, "NAMESPACE": _namespace()}
    for key, value in source.items():
        os.environ.setdefault(f"OMNIDET_RUN_{key}", value)
    version, is_new = train_detector.register(
        model, metrics_uri, registry, recipe(name, settings), "champion", _compared_with(run_folder)
    )
    print(f"{version} {'registered' if is_new else 'was registered already'} in {registry}")
    facts = {"version": str(version), "registry": registry, "model": model}
    content = json.dumps(facts, indent=1) + "\n"
    storage.write_text(storage.join(run_folder, "registered.json"), content)
    Path(out).write_text(content, encoding="utf-8")
    return facts


def _compared_with(run_folder: str) -> int | EllipsisType | None:
    """Number of the champion that the gate saw, None where there was none, `...` where no gate was asked."""
    if not storage.exists(decision(run_folder)):
        return ...
    champion = json.loads(storage.read_text(decision(run_folder)))["champion"]
    return int(champion.rpartition("@")[2]) if champion else None


def _namespace() -> str:
    """Of this pod; empty where this is none. `cluster.own_namespace` needs the Kubernetes client, which not every image has."""
    return NAMESPACE_FILE.read_text(encoding="utf-8").strip() if NAMESPACE_FILE.is_file() else ""


def _number(value: float) -> str:
    """Some back-ends hand integers over as floats."""
    return str(int(value)) if value == int(value) else repr(value)


def _hash(content: object) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:12]
