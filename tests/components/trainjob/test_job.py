"""The life of a TrainJob: launched or adopted, watched, verified, deleted when it failed."""

from __future__ import annotations

import dataclasses
import time
from typing import Any

import pytest

from components.trainjob.cluster import Cluster
from components.trainjob.connection import ClusterError
from components.trainjob.job import run
from components.trainjob.launch import JobError
from components.trainjob.manifest import manifest
from tests.components.trainjob.conftest import DELETED, JOB, QUICK, api, granted, rules
from tests.components.trainjob.fake_kubernetes import (
    Fake,
    condition,
    container,
    ends,
    log_lines,
    running,
)


def _fine() -> None:
    """An output that was verified."""


class TestRun:
    def test_trains_prints_the_log_and_leaves_the_job(
        self, fake: Fake, capsys: pytest.CaptureFixture[str]
    ) -> None:
        fake.status = ends("Complete", after=8)
        fake.add_pod(f"{JOB.name}-node-0-0-abcde", JOB.name)
        fake.add_pod(f"{JOB.name}-node-0-1-fghij", JOB.name, index=1)
        steps = [f"step {i}" for i in range(10)]
        fake.logs[f"{JOB.name}-node-0-0-abcde"] = log_lines(*steps)
        verified = []
        run(JOB, api(fake), lambda: verified.append(True), QUICK)
        out = capsys.readouterr().out
        assert [line for line in out.splitlines() if line.startswith("step")] == steps
        assert "Complete" in out
        assert verified == [True]
        assert (len(fake.created), fake.deleted) == (1, [])

    def test_a_complete_job_without_output_is_an_error_and_deleted(self, fake: Fake) -> None:
        fake.status = ends("Complete")

        def missing() -> None:
            raise FileNotFoundError("s3://bucket/runs/1/model/config.json does not exist")

        with pytest.raises(JobError, match=r"output is not: s3://.*config\.json"):
            run(JOB, api(fake), missing, QUICK)
        assert fake.deleted == DELETED

    def test_an_object_store_that_is_away_says_nothing_about_the_output(self, fake: Fake) -> None:
        """The step is tried again (`run/again.py`) and finds the job, which trained for days."""
        fake.status = ends("Complete")

        def away() -> None:
            raise ConnectionError("s3://bucket/runs/1/model/config.json: no object store answers")

        with pytest.raises(ConnectionError, match="no object store answers"):
            run(JOB, api(fake), away, QUICK)
        assert fake.deleted == []
        run(JOB, api(fake), _fine, QUICK)
        assert (len(fake.created), fake.deleted) == (1, [])

    def test_a_failed_job_says_why_and_is_deleted(self, fake: Fake) -> None:
        fake.status = ends("Failed", reason="FailedJobs", message="jobset failed")
        pod = f"{JOB.name}-node-0-0-abcde"
        killed = container("terminated", exitCode=137, reason="OOMKilled")
        fake.add_pod(pod, JOB.name, phase="Failed", **killed)
        fake.logs[pod] = log_lines("CUDA out of memory")
        with pytest.raises(JobError) as caught:
            run(JOB, api(fake), _fine, QUICK)
        for part in (JOB.full_name, "jobset failed", "137 (OOMKilled)", "CUDA out of memory"):
            assert part in str(caught.value)
        assert fake.deleted == DELETED

    @pytest.mark.slow
    @pytest.mark.parametrize(
        ("reason", "text"),
        [
            ("ImagePullBackOff", "ghcr.io/omnidet/train:0.1.0: not found"),
            ("CreateContainerConfigError", 'secret "omnidet-object-store" not found'),
        ],
    )
    def test_a_pod_that_cannot_start_is_not_waited_for(
        self, fake: Fake, reason: str, text: str
    ) -> None:
        waiting = container("waiting", reason=reason, message=text)
        fake.add_pod(f"{JOB.name}-node-0-0-a", JOB.name, phase="Pending", **waiting)
        with pytest.raises(JobError, match=f"cannot start.*{reason}: {text}"):
            run(JOB, api(fake), _fine, QUICK)
        assert fake.deleted == DELETED

    @pytest.mark.slow
    def test_a_job_that_never_ends_is_deleted_after_its_deadline(self, fake: Fake) -> None:
        with pytest.raises(JobError, match="not ended 1 s"):
            run(dataclasses.replace(JOB, deadline_seconds=1), api(fake), _fine, QUICK)
        assert fake.deleted == DELETED

    @pytest.mark.slow
    def test_waiting_in_a_queue_does_not_count(
        self, fake: Fake, capsys: pytest.CaptureFixture[str]
    ) -> None:
        started = time.monotonic()
        queued = {"conditions": [condition("Suspended", "Suspended", "waits for quota")]}

        def status(reads: int) -> dict[str, Any]:
            return queued if time.monotonic() < started + 1.5 else ends("Complete", after=0)(reads)

        fake.status = status
        run(dataclasses.replace(JOB, deadline_seconds=1), api(fake), _fine, QUICK)
        # Half a second more than the deadline and its grace allow.
        assert time.monotonic() - started >= 1.5
        assert (len(fake.created), fake.deleted) == (1, [])
        assert "waits for quota" in capsys.readouterr().out

    def test_pods_that_are_restarted_are_followed_to_the_end(
        self, fake: Fake, capsys: pytest.CaptureFixture[str]
    ) -> None:
        """Exit code 75 is torchrun's after a SIGTERM: the JobSet starts all nodes again."""
        evicted = container("terminated", exitCode=75, reason="Error")
        names = [f"{JOB.name}-node-0-{node}-try0" for node in (0, 1)]
        old = [
            fake.add_pod(name, JOB.name, node, phase="Failed", **evicted)
            for node, name in enumerate(names)
        ]
        fake.logs = {
            names[0]: log_lines("step 0", "stopped by SIGTERM: checkpoint written"),
            "again": log_lines("resumed at 1"),
        }
        states = []

        def status(_: int) -> dict[str, Any]:
            with fake.lock:
                followed = {query["pod"] for query in fake.log_queries}
                if states and old[0] in fake.pods and names[0] in followed:
                    fake.pods.clear()
                    fake.add_pod("again", JOB.name, 0)
                    fake.add_pod("again-1", JOB.name, 1)
            ready = 0 if old[0] in fake.pods else 2
            states.append(ready)
            jobs = [{"name": "node", "ready": ready, "active": 2, "failed": 2}]
            return ends("Complete", after=0)(1) if "again" in followed else {"jobsStatus": jobs}

        fake.status = status
        verified = []
        run(JOB, api(fake), lambda: verified.append(True), QUICK)
        out = capsys.readouterr().out.splitlines()
        lines = [
            "step 0",
            "stopped by SIGTERM: checkpoint written",
            "--- node 0 was started again as again ---",
            "resumed at 1",
        ]
        assert [line for line in out if line in lines] == lines
        assert states[0] == 0
        assert verified == [True]
        assert (len(fake.created), fake.deleted) == (1, [])


class TestLost:
    """A job that was lost goes on from its checkpoint, a few times."""

    def test_a_job_that_someone_deletes_is_started_again(
        self, fake: Fake, capsys: pytest.CaptureFixture[str]
    ) -> None:
        def status(reads: int) -> dict[str, Any]:
            if reads == 3:
                fake.jobs.clear()
            return ends("Complete", after=8)(reads)

        fake.status = status
        verified = []
        run(JOB, api(fake), lambda: verified.append(True), QUICK)
        assert (len(fake.created), verified) == (2, [True])
        assert "(1 of 2)" in capsys.readouterr().out

    def test_a_pod_that_was_deleted(self, fake: Fake) -> None:
        pod = fake.add_pod(f"{JOB.name}-node-0-0-a", JOB.name, **container("running"))

        def status(reads: int) -> dict[str, Any]:
            if reads == 4:
                pod["metadata"]["deletionTimestamp"] = "2026-11-22T12:00:00Z"
                fake.put_pod(pod)
            if reads == 8:
                fake.remove_pod(pod["metadata"]["name"])
            kind = "Failed" if len(fake.created) == 1 else "Complete"
            return ends(kind, after=12)(reads)

        fake.status = status
        run(JOB, api(fake), _fine, QUICK)
        assert (len(fake.created), fake.deleted) == (2, DELETED)

    def test_it_is_given_up_at_last(self, fake: Fake) -> None:
        fake.status = ends("Failed", reason="ReachedMaxRestarts")
        fake.ending_lists = 0
        evicted = {"reason": "Evicted", "message": "low on memory"}
        fake.add_pod(f"{JOB.name}-node-0-0-a", JOB.name, phase="Failed", **evicted)
        with pytest.raises(JobError, match="low on memory"):
            run(JOB, api(fake), _fine, QUICK)
        assert len(fake.created) == 1 + QUICK.resumes
        assert len(fake.deleted) == len(fake.created)

    def test_an_error_of_its_own_is_not_tried_again(self, fake: Fake) -> None:
        fake.status = ends("Failed", reason="ReachedMaxRestarts")
        failed = container("terminated", exitCode=1, reason="Error")
        fake.add_pod(f"{JOB.name}-node-0-0-a", JOB.name, phase="Failed", **failed)
        with pytest.raises(JobError):
            run(JOB, api(fake), _fine, QUICK)
        assert len(fake.created) == 1

    def test_neither_is_a_deadline(self, fake: Fake) -> None:
        fake.status = ends("Failed", reason="DeadlineExceeded")
        stopped = container("terminated", exitCode=75, reason="Error")
        fake.add_pod(f"{JOB.name}-node-0-0-a", JOB.name, phase="Failed", **stopped)
        with pytest.raises(JobError, match="DeadlineExceeded"):
            run(JOB, api(fake), _fine, QUICK)
        assert len(fake.created) == 1

    def test_nor_a_job_whose_run_is_over(self, fake: Fake, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("KFP_POD_NAME", "step")
        monkeypatch.setenv("KFP_POD_UID", "1")
        fake.add_run("step", "1")

        def status(reads: int) -> dict[str, Any]:
            if reads == 3:
                fake.jobs.clear()
                fake.workflows.clear()
            return running(reads)

        fake.status = status
        with pytest.raises(JobError, match="its run is gone"):
            run(JOB, api(fake), _fine, QUICK)
        assert len(fake.created) == 1


class TestOutages:
    def test_an_expired_token_is_read_again(self, fake: Fake) -> None:
        fake.token = "first"
        tokens = []

        def status(reads: int) -> dict[str, Any]:
            if reads == 3:
                fake.token = "second"
            return ends("Complete", after=6)(reads)

        def connect() -> Any:
            tokens.append(fake.token)
            return fake.client(str(fake.token))

        fake.status = status
        run(JOB, Cluster(connect, patience_seconds=5, pause_seconds=0.01), _fine, QUICK)
        assert set(tokens) == {"first", "second"}

    @pytest.mark.slow
    @pytest.mark.parametrize(("verb", "resource"), [("get", "trainjobs"), ("list", "pods")])
    def test_an_api_that_is_away_for_a_while_is_waited_for(
        self, fake: Fake, verb: str, resource: str
    ) -> None:
        fake.status = ends("Complete", after=5)
        fake.faults = [(verb, resource, status) for status in (500, 503, 429, 504)]
        run(JOB, api(fake), _fine, QUICK)
        assert fake.faults == []
        assert fake.deleted == []

    def test_a_creation_that_happened_although_the_answer_was_500_is_adopted(
        self, fake: Fake, capsys: pytest.CaptureFixture[str]
    ) -> None:
        fake.lost_answers = [("create", "trainjobs", 500)]
        fake.status = ends("Complete")
        run(JOB, api(fake), _fine, QUICK)
        assert fake.lost_answers == []
        assert fake.calls["create", "trainjobs"] == 2  # the second call finds the name taken
        assert (len(fake.created), list(fake.jobs), fake.deleted) == (1, [JOB.name], [])
        assert "adopted" in capsys.readouterr().out

    def test_an_api_that_stays_away_is_given_up_and_the_job_left_to_a_retry(
        self, fake: Fake
    ) -> None:
        fake.faults = [("list", "pods", 500)] * 1000
        with pytest.raises(ClusterError, match=f"{JOB.full_name}: 500 scripted 500"):
            run(JOB, api(fake, patience_seconds=0.2), _fine, QUICK)
        assert fake.deleted == []

    def test_a_missing_runtime_is_noticed_at_once(self, fake: Fake) -> None:
        fake.runtimes.clear()
        with pytest.raises(ClusterError, match="TrainingRuntime kubeflow/omnidet-torch"):
            run(JOB, api(fake), _fine, QUICK)
        assert fake.created == []

    def test_missing_rights_are_noticed_at_once(self, fake: Fake) -> None:
        fake.rules = [
            rule for rule in rules("launcher-rbac.yaml") if "trainjobs" not in rule["resources"]
        ]
        with pytest.raises(ClusterError, match=r'403 .* cannot get resource "trainjobs"'):
            run(JOB, api(fake), _fine, QUICK)


def test_every_right_of_the_launcher_is_used(fake: Fake, monkeypatch: pytest.MonkeyPatch) -> None:
    """The server refuses what no rule allows; here no rule allows what nobody asks for."""
    monkeypatch.setenv("KFP_POD_NAME", "step")
    monkeypatch.setenv("KFP_POD_UID", "1")
    fake.add_run("step", "1")
    fake.add_job(manifest(JOB))
    stopped = container("terminated", exitCode=75)
    fake.add_pod(f"{JOB.name}-node-0-0-a", JOB.name, phase="Failed", **stopped)
    fake.status = ends("Failed", after=6)
    with pytest.raises(JobError):
        run(JOB, api(fake), _fine, QUICK)
    assert set(fake.calls) == granted("launcher-rbac.yaml")
