"""The reaper deletes what a killed step left behind, and nothing else."""

from __future__ import annotations

import datetime
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from components.trainjob import reaper
from components.trainjob.manifest import TrainJob, manifest
from components.trainjob.owner import ORPHANED, Step
from tests.components.trainjob.conftest import MANIFESTS, api, granted, rules
from tests.components.trainjob.fake_kubernetes import Fake, container
from tests.components.trainjob.kubernetes_api import NAMESPACE

LONG_AGO = "2026-01-01T00:00:00Z"


def _job(
    fake: Fake, run_id: str, step_uid: str | None, age_seconds: float = 7200, run: str = ""
) -> str:
    """The name of a job that the pod of that uid watches.

    Args:
        run: name of the Workflow that owns it; else the pod does.
    """
    job = TrainJob(run_id, NAMESPACE, "ghcr.io/omnidet/train:0.1.0", ("torchrun",), 60, "t")
    owner = {"apiVersion": "argoproj.io/v1alpha1", "kind": "Workflow", "name": run}
    own = owner | {"uid": "uid-of-run"} if run else None
    step = Step(NAMESPACE, f"step-{run_id}", step_uid, own) if step_uid is not None else None
    fake.add_job(manifest(job, step), age_seconds)
    return job.name


def _step(fake: Fake, run_id: str, phase: str, **status: Any) -> str:
    return str(fake.add_pod(f"step-{run_id}", "no-job", phase=phase, **status)["metadata"]["uid"])


def _ended(at: str) -> dict[str, Any]:
    return container("terminated", exitCode=1, finishedAt=at)


def _reap(fake: Fake, *arguments: str) -> int:
    fake.rules = rules("reaper.yaml")
    given = ["--namespace", NAMESPACE, "--grace-seconds", "600", *arguments]
    return reaper.main(given, api(fake, patience_seconds=0.1))


def _run(fake: Fake, name: str, phase: str = "Running", uid: str = "uid-of-run") -> str:
    """The name of a run of Kubeflow Pipelines."""
    status = {"phase": phase, "startedAt": LONG_AGO}
    if phase != "Running":
        status["finishedAt"] = LONG_AGO
    fake.workflows[name] = {"metadata": {"name": name, "uid": uid}, "spec": {}, "status": status}
    return name


def _found_orphaned(fake: Fake, name: str, at: str) -> str:
    fake.jobs[name]["metadata"].setdefault("annotations", {})[ORPHANED] = at
    return name


@pytest.mark.slow
def test_it_deletes_jobs_that_nobody_needs_and_no_others(fake: Fake) -> None:
    _step(fake, "replaced", "Running")
    going_on = _run(fake, "going-on")
    orphans = {
        _found_orphaned(fake, _job(fake, "gone", "uid-of-nobody"), LONG_AGO),
        _found_orphaned(fake, _job(fake, "replaced", "uid-of-an-earlier-pod"), LONG_AGO),
        _job(fake, "ended", _step(fake, "ended", "Failed", **_ended(LONG_AGO))),
        _found_orphaned(fake, _job(fake, "evicted", _step(fake, "evicted", "Failed")), LONG_AGO),
        _job(fake, "failed", _step(fake, "f", "Running"), run=_run(fake, "failed", "Failed")),
        _found_orphaned(
            fake,
            _job(fake, "anew", _step(fake, "a", "Running"), run=_run(fake, "anew", uid="other")),
            LONG_AGO,
        ),
        _found_orphaned(fake, _job(fake, "unwatched", "uid-of-nobody", run=going_on), LONG_AGO),
    }
    now = datetime.datetime.now(datetime.UTC).isoformat()
    kept = {
        _job(fake, "watched", _step(fake, "watched", "Running")),
        _job(fake, "in-run", _step(fake, "in-run", "Running"), run=going_on),
        _job(fake, "just-ended", _step(fake, "just-ended", "Failed", **_ended(now))),
        _job(fake, "just-gone", "uid-of-nobody", run=going_on),
        _job(fake, "by-hand", None),
    }
    foreign = manifest(TrainJob("foreign", NAMESPACE, "i:1", ("c",), 60, "t"))
    foreign["metadata"]["labels"] = {"app.kubernetes.io/part-of": "other"}
    kept.add(fake.add_job(foreign, 7200)["metadata"]["name"])
    assert _reap(fake) == 0
    assert {name for name, _ in fake.deleted} == orphans
    assert {how for _, how in fake.deleted} == {"Background"}
    assert set(fake.jobs) == kept
    assert set(fake.calls) == granted("reaper.yaml")


def test_a_job_outlives_the_gap_between_two_pods_of_its_step(
    fake: Fake, capsys: pytest.CaptureFixture[str]
) -> None:
    """However old it is: the grace begins when the reaper first finds nobody."""
    name = _job(fake, "gone", "uid-of-nobody", age_seconds=1_000_000, run=_run(fake, "run"))
    assert _reap(fake) == 0
    assert "kept for another 600 s" in capsys.readouterr().out
    assert ORPHANED in fake.jobs[name]["metadata"]["annotations"]
    adopted = _step(fake, "gone", "Running")  # by the pod that replaces it
    fake.jobs[name]["metadata"]["annotations"]["omnidet.io/watched-by"] = f"step-gone/{adopted}"
    assert _reap(fake) == 0
    assert ORPHANED not in fake.jobs[name]["metadata"]["annotations"]
    assert fake.deleted == []


def test_a_dry_run_changes_nothing(fake: Fake, capsys: pytest.CaptureFixture[str]) -> None:
    name = _found_orphaned(fake, _job(fake, "gone", "uid-of-nobody"), LONG_AGO)
    _job(fake, "just-gone", "uid-of-nobody")
    assert _reap(fake, "--dry-run") == 0
    assert f"{name}: its step step-gone is gone; would be deleted" in capsys.readouterr().out
    assert fake.deleted == []
    assert fake.calls["patch", "trainjobs"] == 0


def test_one_job_that_cannot_be_examined_does_not_keep_the_others(
    fake: Fake, capsys: pytest.CaptureFixture[str]
) -> None:
    _found_orphaned(fake, _job(fake, "first", "uid-of-nobody"), LONG_AGO)
    _found_orphaned(fake, _job(fake, "second", "uid-of-nobody"), LONG_AGO)
    fake.faults = [("get", "pods", 403)]
    assert _reap(fake) == 1
    assert "403 scripted" in capsys.readouterr().err
    assert len(fake.deleted) == 1


def test_an_api_that_is_away(fake: Fake, capsys: pytest.CaptureFixture[str]) -> None:
    fake.faults = [("list", "trainjobs", 503)] * 100
    assert _reap(fake) == 1
    assert "503" in capsys.readouterr().err


def test_it_needs_a_namespace(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        reaper.main([])
    assert caught.value.code == 2
    assert "--namespace" in capsys.readouterr().err


@pytest.mark.slow
def test_the_manifest_starts_a_module_that_runs(fake: Fake, tmp_path: Path) -> None:
    (tmp_path / "kubeconfig").write_text(fake.kubeconfig())
    name = _found_orphaned(fake, _job(fake, "gone", "uid-of-nobody"), LONG_AGO)
    fake.rules = rules("reaper.yaml")
    (line,) = [
        line.strip()
        for line in (MANIFESTS / "base/reaper.yaml").read_text(encoding="utf-8").splitlines()
        if line.strip().startswith("command:")
    ]
    program, *arguments = line.removeprefix("command: [").removesuffix("]").split(", ")
    assert program == "python"
    ran = subprocess.run(
        [sys.executable, *arguments, "--namespace", NAMESPACE],
        env=os.environ | {"KUBECONFIG": str(tmp_path / "kubeconfig")},
        capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    assert fake.deleted == [(name, "Background")]
