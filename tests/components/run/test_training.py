"""Training in this process, in several, and on several nodes."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from typing import Any

import pytest

from components.run import training
from omnidet import config, s3_client
from omnidet.recipes.tiny_world import tiny_world
from tests.components.steps import run_folder

NODES = training.Nodes(
    deadline_seconds=3600,
    num_nodes=1,
    gpus_per_node=0,
    image="ghcr.io/omnidet/train:0.1.0",
    cpus_per_node="1",
    memory_per_node="2Gi",
    node_selector={},
    tolerations=[],
    object_store="store",
)


def _train(run: str, *settings: str, **changes: Any) -> str:
    nodes = training.Nodes(**{**vars(NODES), **changes})
    given = ["train.steps=3", *settings]
    return training.train("shards", "words", run, "tiny_world", given, nodes)


def test_one_process_trains_here(tmp_path, monkeypatch):
    calls = []
    steps = training.train_detector
    monkeypatch.setattr(steps, "train", lambda *arguments: calls.append(arguments))
    run = str(tmp_path / "w" / "runs" / "abc")
    assert _train(run) == f"{run}/model"
    recipe = config.override(tiny_world(), "train.steps=3")
    work = str(tmp_path / "w" / "work")
    assert calls == [("shards", "words", f"{run}/model", recipe, work)]
    _train("s3://b/w/runs/abc", gpus_per_node=1)
    assert calls[1][4] is None


def test_several_processes_are_started_by_torchrun(tmp_path, monkeypatch):
    run, commands, codes = run_folder(tmp_path), [], [0, 3]

    def ran(command: list[str]) -> int:
        commands.append(command)
        return codes.pop(0)

    monkeypatch.setattr(training, "_run", ran)
    assert _train(run, gpus_per_node=4) == f"{run}/model"
    torchrun = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node=4"]
    assert commands[0][1:7] == [*torchrun, "--max-restarts=3", "-m"]
    assert commands[0][7:10] == ["omnidet.cli", "train", "--recipe"]
    assert commands[0][-1] == f"{run}/model"
    with pytest.raises(RuntimeError, match=r"4 processes .*exit code 3"):
        _train(run, gpus_per_node=4)


WORKER = """
import os, pathlib, signal, sys, time
folder, rank = pathlib.Path(sys.argv[1]), os.environ["RANK"]
def save(*_):
    (folder / f"saved-{rank}").touch()
    sys.exit(0)
signal.signal(signal.SIGTERM, save)
(folder / f"started-{rank}").touch()
time.sleep(120)
"""


def test_sigterm_to_the_step_alone_reaches_every_rank(tmp_path):
    (tmp_path / "worker.py").write_text(WORKER)
    step = (
        "import sys; from components.run import training\ntraining._in_processes(sys.argv[1:], 2)"
    )
    command = [sys.executable, "-c", step, str(tmp_path / "worker.py"), str(tmp_path)]
    process = subprocess.Popen(command, start_new_session=True)
    try:
        give_up_at = time.monotonic() + 120
        while len(list(tmp_path.glob("started-*"))) < 2:
            assert process.poll() is None
            assert time.monotonic() < give_up_at
            time.sleep(0.05)
        process.terminate()
        assert process.wait(60) == 128 + signal.SIGTERM
        assert {path.name for path in tmp_path.glob("saved-*")} == {"saved-0", "saved-1"}
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)


def test_several_nodes_need_an_object_store_and_a_cluster(tmp_path):
    with pytest.raises(ValueError, match=r"model is a local path.* s3://"):
        _train(str(tmp_path / "runs" / "abc"), num_nodes=2)
    with pytest.raises(ValueError, match=r"num_nodes is 2.*set num_nodes to 1"):
        _train("s3://b/w/runs/abc", num_nodes=2)


def test_several_nodes_are_a_trainjob(monkeypatch):
    from components.trainjob import connection, job
    from components.trainjob.manifest import manifest

    jobs = []
    monkeypatch.setattr(connection, "own_namespace", lambda: "omnidet")
    monkeypatch.setattr(job, "run", lambda job, *_: jobs.append(job))
    monkeypatch.setattr(training, "_check_detector", lambda _: None)
    with pytest.raises(ValueError, match=r"OMNIDET_TRAINING_RUNTIME.*kubectl apply"):
        _train("s3://b/w/runs/1b2c-3d", num_nodes=2)
    monkeypatch.setenv(training.RUNTIME, "omnidet-torch-0-1-0-abc")
    _train(
        "s3://b/w/runs/1b2c-3d",
        "job.queue=omnidet",
        num_nodes=2,
        gpus_per_node=8,
        tolerations=[{"key": "gpu", "operator": "Exists", "tolerationSeconds": 30.0}],
    )
    (job,) = jobs
    assert "job.queue=omnidet" not in job.command  # the command line knows fields of the recipe
    assert job.shared_memory == "1024Mi"
    assert job.runtime == "omnidet-torch-0-1-0-abc"
    assert (job.run_id, job.namespace) == ("1b2c-3d", "omnidet")
    assert (job.num_nodes, job.gpus_per_node, job.queue) == (2, 8, "omnidet")
    assert job.command[:4] == ("torchrun", "-m", "omnidet.cli", "train")
    assert job.tolerations == ({"key": "gpu", "operator": "Exists", "tolerationSeconds": 30},)
    reference = {"name": "store", "key": "AWS_SECRET_ACCESS_KEY", "optional": True}
    assert f'"secretKeyRef": {json.dumps(reference)}' in json.dumps(manifest(job)["spec"])
    authority = {"name": "store", "key": s3_client.CERTIFICATES, "optional": True}
    assert f'"configMapKeyRef": {json.dumps(authority)}' in json.dumps(manifest(job)["spec"])


def test_half_a_detector_is_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"config\.json"):
        training._check_detector(str(tmp_path))
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(FileNotFoundError, match=r"model\.safetensors"):
        training._check_detector(str(tmp_path))


def test_shared_memory_is_half_of_the_memory_unless_it_is_set():
    nodes = training.Nodes(**{**vars(NODES), "memory_per_node": "64Gi"})
    assert training._shared_memory(nodes, []) == "32768Mi"
    assert training._shared_memory(nodes, ["job.shared_memory=8Gi"]) == "8Gi"
