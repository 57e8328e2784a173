"""A job of this run: created, adopted, replaced or deleted."""

from __future__ import annotations

import datetime

import pytest

from components.trainjob import manifest as labels
from components.trainjob.launch import JobError, condition, delete, launch
from components.trainjob.manifest import manifest
from components.trainjob.owner import ORPHANED, WATCHER, Step
from tests.components.trainjob import fake_kubernetes
from tests.components.trainjob.conftest import JOB, api
from tests.components.trainjob.fake_kubernetes import Fake
from tests.components.trainjob.kubernetes_api import NAMESPACE

RUN = {"apiVersion": "argoproj.io/v1alpha1", "kind": "Workflow", "name": "run", "uid": "9"}
FAILED = {"status": {"conditions": [fake_kubernetes.condition("Failed")]}}


def _launch(fake: Fake, step: Step | None = None, patience_seconds: float = 5) -> None:
    launch(JOB, api(fake, patience_seconds), step, poll_seconds=0.02)


def test_a_new_job(fake: Fake) -> None:
    _launch(fake, Step(NAMESPACE, "step", "1", RUN))
    (created,) = fake.created
    assert created["metadata"]["ownerReferences"] == [RUN]


@pytest.mark.parametrize("owner", [RUN, None])
def test_a_job_of_the_same_run_is_adopted(fake: Fake, owner: dict[str, str] | None) -> None:
    """Also one whose owner was the pod before, as earlier versions made them."""
    old = fake.add_job(manifest(JOB, Step(NAMESPACE, "step", "1", owner)))
    old["metadata"]["annotations"][ORPHANED] = "2026-11-22T12:00:00Z"
    _launch(fake, Step(NAMESPACE, "step-again", "2", RUN))
    assert (fake.created, fake.deleted) == ([], [])
    metadata = fake.jobs[JOB.name]["metadata"]
    assert metadata["ownerReferences"] == [RUN]
    assert metadata["annotations"] == {WATCHER: "step-again/2"}


@pytest.mark.parametrize("label", [labels.RUN_LABEL, labels.PART_OF[0], labels.SPEC_LABEL])
def test_a_job_that_is_not_ours_is_an_error_and_left_alone(fake: Fake, label: str) -> None:
    other = manifest(JOB)
    other["metadata"]["labels"][label] = "other"
    fake.add_job(other)
    with pytest.raises(JobError, match=r"is not this run's|trains something else"):
        _launch(fake)
    delete(JOB, api(fake), 1)
    assert fake.deleted == []
    assert JOB.name in fake.jobs


def test_a_failed_job_of_an_earlier_try_is_replaced(fake: Fake) -> None:
    fake.finalizer_reads = 2
    fake.add_job(manifest(JOB) | FAILED)
    _launch(fake)
    assert fake.deleted == [(JOB.name, "Background")]
    assert len(fake.created) == 1


def test_pods_of_a_deleted_job_are_waited_for(
    fake: Fake, capsys: pytest.CaptureFixture[str]
) -> None:
    fake.add_pod(f"{JOB.name}-node-0-0-abcde", JOB.name)
    fake.ending_lists = 3
    _launch(fake)
    out = capsys.readouterr().out.splitlines()
    assert sum("are ending" in line for line in out) == 3
    assert fake.calls["create", "trainjobs"] == 1
    assert "was created" in out[3]


@pytest.mark.parametrize(("seconds", "is_waited_for"), [(300, False), (5, True)])
def test_pods_of_a_node_that_is_gone_are_not_waited_for(
    fake: Fake, capsys: pytest.CaptureFixture[str], seconds: int, is_waited_for: bool
) -> None:
    """Such a pod stays until the node comes back or is removed."""
    due = datetime.datetime.now(datetime.UTC) - datetime.timedelta(seconds=seconds)
    pod = fake.add_pod(f"{JOB.name}-node-0-0-abcde", JOB.name)
    pod["metadata"]["deletionTimestamp"] = due.strftime("%Y-%m-%dT%H:%M:%SZ")
    fake.ending_lists = 3
    _launch(fake)
    assert ("are ending" in capsys.readouterr().out) == is_waited_for
    assert len(fake.created) == 1


def test_a_job_that_does_not_go_away_is_an_error(fake: Fake) -> None:
    fake.finalizer_reads = 1_000_000
    fake.add_job(manifest(JOB) | FAILED)
    with pytest.raises(JobError, match=f"{JOB.full_name} is not gone"):
        _launch(fake, patience_seconds=0.3)


def test_an_api_that_is_away_when_deleting_is_said(
    fake: Fake, capsys: pytest.CaptureFixture[str]
) -> None:
    fake.add_job(manifest(JOB))
    fake.faults = [("delete", "trainjobs", 503)] * 1000
    delete(JOB, api(fake), 0.05)
    assert "503" in capsys.readouterr().err


def test_a_condition_holds_only_if_it_is_true() -> None:
    holds, fails = fake_kubernetes.condition("Complete"), fake_kubernetes.condition("Failed")
    job = {"status": {"conditions": [holds, fails | {"status": "False"}]}}
    assert condition(job, "Complete") == holds
    assert condition(job, "Failed") is None
