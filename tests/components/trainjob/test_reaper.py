from __future__ import annotations

import datetime
from typing import Any

import pytest

from components.trainjob import reaper
from components.trainjob.cluster import Cluster
from components.trainjob.job import TrainJob, manifest
from tests.components.trainjob.conftest import rules
from tests.components.trainjob.fake_kubernetes import NAMESPACE, Fake, container

LONG_AGO = "2026-01-01T00:00:00Z"


def orphan(fake: Fake, run_id: str, owner_uid: str | None, age_seconds: float = 7200) -> str:
    job = TrainJob(run_id, NAMESPACE, "ghcr.io/omnidet/train:0.1.0", ("torchrun",), 60)
    content = manifest(job)
    if owner_uid is not None:
        content["metadata"]["ownerReferences"] = [
            {"apiVersion": "v1", "kind": "Pod", "name": f"step-{run_id}", "uid": owner_uid}
        ]
    fake.add_job(content, age_seconds)
    return job.name


def step(fake: Fake, run_id: str, phase: str, **status: Any) -> str:
    return str(fake.add_pod(f"step-{run_id}", "no-job", phase=phase, **status)["metadata"]["uid"])


def reap(fake: Fake, *arguments: str) -> int:
    fake.rules = rules("reaper.yaml")
    api = Cluster(fake.client, patience_seconds=0.1, pause_seconds=0.01)
    return reaper.main(["--namespace", NAMESPACE, "--grace-seconds", "600", *arguments], api)


def now() -> str:
    return datetime.datetime.now(datetime.UTC).isoformat()


@pytest.mark.slow
def test_deletes_jobs_without_a_living_step_and_no_others(fake: Fake) -> None:
    gone = orphan(fake, "gone", "uid-of-nobody")
    replaced = orphan(fake, "replaced", "uid-of-an-earlier-pod")
    step(fake, "replaced", "Running")
    ended = orphan(
        fake,
        "ended",
        step(fake, "ended", "Failed", **container("terminated", exitCode=1, finishedAt=LONG_AGO)),
    )
    evicted = orphan(fake, "evicted", step(fake, "evicted", "Failed"))
    kept = [
        orphan(fake, "minded", step(fake, "minded", "Running")),
        orphan(
            fake,
            "just-ended",
            step(
                fake,
                "just-ended",
                "Failed",
                **container("terminated", exitCode=1, finishedAt=now()),
            ),
        ),
        orphan(fake, "just-made", "uid-of-nobody", age_seconds=5),
        orphan(fake, "by-hand", None),
    ]
    foreign = manifest(TrainJob("foreign", NAMESPACE, "i:1", ("c",), 60))
    foreign["metadata"]["labels"] = {"app.kubernetes.io/part-of": "other"}
    kept.append(fake.add_job(foreign, 7200)["metadata"]["name"])
    assert reap(fake) == 0
    assert {name for name, _ in fake.deleted} == {gone, replaced, ended, evicted}
    assert {how for _, how in fake.deleted} == {"Foreground"}
    assert set(fake.jobs) == set(kept)
    granted = {
        (verb, resource)
        for rule in rules("reaper.yaml")
        for verb in rule["verbs"]
        for resource in rule["resources"]
    }
    assert set(fake.calls) == granted


def test_a_dry_run_deletes_nothing(fake: Fake, capsys: pytest.CaptureFixture[str]) -> None:
    orphan(fake, "gone", "uid-of-nobody")
    assert reap(fake, "--dry-run") == 0
    assert "would be deleted" in capsys.readouterr().out
    assert fake.deleted == []


def test_one_job_that_cannot_be_looked_after_does_not_keep_the_others(
    fake: Fake, capsys: pytest.CaptureFixture[str]
) -> None:
    orphan(fake, "first", "uid-of-nobody")
    orphan(fake, "second", "uid-of-nobody")
    fake.faults = [("get", "pods", 403)]
    assert reap(fake) == 1
    assert "403 scripted" in capsys.readouterr().err
    assert len(fake.deleted) == 1


def test_an_api_that_is_away_is_told(fake: Fake, capsys: pytest.CaptureFixture[str]) -> None:
    fake.faults = [("list", "trainjobs", 503)] * 100
    assert reap(fake) == 1
    assert "503" in capsys.readouterr().err
