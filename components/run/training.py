"""The train step: in this process, in one process per GPU of this pod, or on several nodes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from components.run import places
from omnidet import storage
from omnidet.steps import train_detector
from omnidet.training import runs

WEIGHTS = "model.safetensors"
MAX_RESTARTS = 3
"""How often the processes of one pod may start again, as all those of a TrainJob may
(`manifests/base/training-runtime.yaml`)."""
RUNTIME = "OMNIDET_TRAINING_RUNTIME"
"""Environment variable with the name of the TrainingRuntime, which the manifests choose."""


@dataclass(frozen=True, kw_only=True)
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


def train(
    shards: str,
    vocabulary: str,
    run_folder: str,
    recipe: str,
    settings: Sequence[str],
    nodes: Nodes,
) -> str:
    """Train where `nodes` says; returns the location of the detector."""
    out = storage.join(run_folder, "model")
    if nodes.num_nodes == 1 and nodes.gpus_per_node <= 1:
        work = None if storage.is_s3(run_folder) else str(Path(run_folder).parents[1] / "work")
        chosen = places.recipe(recipe, settings)
        train_detector.train(shards, vocabulary, out, chosen, work)
        return out
    inputs = ["--shards", shards, "--vocabulary", vocabulary, "--out", out]
    changes = [part for setting in settings for part in ("--set", setting)]
    command = ["-m", "omnidet.cli", "train", "--recipe", recipe, *changes, *inputs]
    if nodes.num_nodes == 1:
        # A rank that dies or is stopped costs the steps since the checkpoint. On several nodes the
        # JobSet restarts them.
        in_processes(command, nodes.gpus_per_node, MAX_RESTARTS)
    else:
        _on_nodes(command, out, Path(run_folder).name, nodes)
    _check_detector(out)
    return out


def in_processes(command: Sequence[str], count: int, max_restarts: int = 0) -> None:
    """Run Python with these arguments in so many processes. Raises RuntimeError if they fail."""
    torchrun = ["-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={count}"]
    restarts = f"--max-restarts={max_restarts}"
    ran = subprocess.run([sys.executable, *torchrun, restarts, *command])
    if ran.returncode:
        raise RuntimeError(
            f"training in {count} processes ended with exit code {ran.returncode}: see above"
        )


def _on_nodes(command: list[str], out: str, run_id: str, nodes: Nodes) -> None:
    # Imported here: only the images `train` and `control` have the Kubernetes client.
    from components.trainjob import cluster, connection, job
    from components.trainjob.manifest import TrainJob

    if not storage.is_s3(out):
        raise ValueError(
            f"{out} is a local path, but nodes share only the object store: "
            "set the workspace to an s3:// URI"
        )
    namespace = connection.own_namespace()
    if namespace is None:
        raise ValueError(
            f"num_nodes is {nodes.num_nodes}, but this process does not run in a pod: "
            "set num_nodes to 1"
        )
    runtime = os.environ.get(RUNTIME)
    if not runtime:
        raise ValueError(
            f"{RUNTIME} is not set: `kubectl apply -k` an overlay of manifests/, which makes the "
            f"ConfigMap omnidet-training in the namespace {namespace}"
        )
    wanted = TrainJob(
        run_id=run_id,
        namespace=namespace,
        image=nodes.image,
        command=("torchrun", *command),
        deadline_seconds=nodes.deadline_seconds,
        runtime=runtime,
        num_nodes=nodes.num_nodes,
        gpus_per_node=nodes.gpus_per_node,
        cpu=nodes.cpu,
        memory=nodes.memory,
        shared_memory=nodes.shared_memory,
        env=_environment(nodes),
        node_selector=nodes.node_selector,
        tolerations=tuple(_toleration(toleration) for toleration in nodes.tolerations),
        service_account="omnidet-train",
        queue=nodes.queue or None,
    )
    job.run(wanted, cluster.Cluster(), lambda: _check_detector(out))


def _environment(nodes: Nodes) -> dict[str, Any]:
    """The commit, and references to the Secret and ConfigMap that the pipeline's pods use."""
    from components.trainjob.manifest import Reference

    variables: dict[str, Any] = {"OMNIDET_GIT_COMMIT": runs.git_commit()}
    for key in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        variables[key] = Reference("secret", nodes.object_store_secret, key, optional=True)
    for key in ("AWS_ENDPOINT_URL", "AWS_REGION"):
        variables[key] = Reference("config", nodes.object_store_config, key, optional=True)
    return variables


def _toleration(given: Mapping[str, Any]) -> dict[str, Any]:
    """KFP hands every number over as a float."""
    return {key: int(value) if isinstance(value, float) else value for key, value in given.items()}


def _check_detector(out: str) -> None:
    """Raise OSError or ValueError unless `out` holds a whole detector."""
    json.loads(storage.read_text(storage.join(out, "config.json")))
    if not storage.exists(storage.join(out, WEIGHTS)):
        raise FileNotFoundError(f"{storage.join(out, WEIGHTS)} does not exist")
