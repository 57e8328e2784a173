"""The train step: in this process, in one process per GPU of this pod, or on several nodes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

from components.run import own_settings, places
from components.run.again import patiently
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
    """Where training runs; `TrainJob` in `components/trainjob/manifest.py` explains the fields.

    Attributes:
        object_store: name of the Secret and of the ConfigMap that say where it is.
    """

    deadline_seconds: int
    num_nodes: int
    gpus_per_node: int
    image: str
    cpus_per_node: str
    memory_per_node: str
    node_selector: Mapping[str, str]
    tolerations: Sequence[Mapping[str, Any]]
    object_store: str


@patiently
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
    changes = [p for setting in own_settings.of_recipe(settings) for p in ("--set", setting)]
    command = ["-m", "omnidet.cli", "train", "--recipe", recipe, *changes, *inputs]
    in_many(command, run_folder, nodes, settings)
    return out


def in_many(command: list[str], run_folder: str, nodes: Nodes, settings: Sequence[str]) -> None:
    """Run Python with these arguments in one process per GPU, here or on several nodes.

    Raises RuntimeError or JobError if that fails, OSError or ValueError if it leaves no detector in
    the run's folder.
    """
    out = storage.join(run_folder, "model")
    if nodes.num_nodes == 1:
        # A rank that dies or is stopped costs the steps since the checkpoint. On several nodes the
        # JobSet restarts them.
        _in_processes(command, nodes.gpus_per_node)
    else:
        _on_nodes(command, out, Path(run_folder).name, nodes, settings)
    _check_detector(out)


def _in_processes(command: Sequence[str], count: int) -> None:
    torchrun = ["-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={count}"]
    restarts = f"--max-restarts={MAX_RESTARTS}"
    code = _run([sys.executable, *torchrun, restarts, *command])
    if code:
        raise RuntimeError(f"training in {count} processes ended with exit code {code}: see above")


def _run(command: Sequence[str]) -> int:
    """The command's exit code. SIGTERM, which a drained node sends to this process alone, is passed
    on, so that the ranks write a checkpoint; then this process ends as if by the signal.
    """
    stopped = False

    def pass_on(number: int, _frame: FrameType | None) -> None:
        nonlocal stopped
        stopped = True
        if started:
            started[0].send_signal(number)

    started: list[subprocess.Popen[bytes]] = []
    is_main = threading.current_thread() is threading.main_thread()  # handlers may be set there
    before = signal.signal(signal.SIGTERM, pass_on) if is_main else None
    try:
        started.append(subprocess.Popen(command))
        if stopped:
            started[0].terminate()
        code = started[0].wait()
    finally:
        if is_main:
            signal.signal(signal.SIGTERM, before)
    if stopped:
        raise SystemExit(128 + signal.SIGTERM)
    return code


def _on_nodes(
    command: list[str], out: str, run_id: str, nodes: Nodes, settings: Sequence[str]
) -> None:
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
        cpu=nodes.cpus_per_node,
        memory=nodes.memory_per_node,
        shared_memory=_shared_memory(nodes, settings),
        env=_environment(nodes),
        node_selector=nodes.node_selector,
        tolerations=tuple(_toleration(toleration) for toleration in nodes.tolerations),
        service_account="omnidet-train",
        queue=own_settings.value(settings, "job.queue") or None,
    )
    job.run(wanted, cluster.Cluster(), lambda: _check_detector(out))


def _shared_memory(nodes: Nodes, settings: Sequence[str]) -> str:
    """As set, else half of a node's memory, which is what Linux gives it by default."""
    from kubernetes.utils.quantity import parse_quantity

    half = parse_quantity(nodes.memory_per_node) / 2**21
    return own_settings.value(settings, "job.shared_memory") or f"{int(half)}Mi"


def _environment(nodes: Nodes) -> dict[str, Any]:
    """The commit, and references to the Secret and ConfigMap that the pipeline's pods use."""
    from components.trainjob.manifest import Reference

    variables: dict[str, Any] = {"OMNIDET_GIT_COMMIT": runs.git_commit()}
    for key in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        variables[key] = Reference("secret", nodes.object_store, key, optional=True)
    for key in ("AWS_ENDPOINT_URL", "AWS_REGION", "OMNIDET_CA_CERTIFICATES"):
        variables[key] = Reference("config", nodes.object_store, key, optional=True)
    return variables


def _toleration(given: Mapping[str, Any]) -> dict[str, Any]:
    """KFP hands every number over as a float."""
    return {key: int(value) if isinstance(value, float) else value for key, value in given.items()}


def _check_detector(out: str) -> None:
    """Raise OSError or ValueError unless `out` holds a whole detector."""
    json.loads(storage.read_text(storage.join(out, "config.json")))
    if not storage.exists(storage.join(out, WEIGHTS)):
        raise FileNotFoundError(f"{storage.join(out, WEIGHTS)} does not exist")
