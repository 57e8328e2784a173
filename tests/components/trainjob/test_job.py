from __future__ import annotations

import dataclasses
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from kubeflow_trainer_api import models
from pydantic import ValidationError

from components.trainjob import cluster
from components.trainjob import manifest as trainjob_manifest
from components.trainjob.cluster import Cluster, ClusterError
from components.trainjob.job import JobError, Pace, TrainJob, manifest, run
from components.trainjob.manifest import Reference
from tests.components.trainjob.conftest import rules
from tests.components.trainjob.fake_kubernetes import (
    NAMESPACE,
    Fake,
    condition,
    container,
    ends,
    log_lines,
    lost,
    running,
)

pytestmark = pytest.mark.slow

JOB = TrainJob(
    run_id="7f9c2ba4-e88f-827d-6160-4507605853ed",
    namespace=NAMESPACE,
    image="ghcr.io/omnidet/train:0.1.0",
    command=(
        "torchrun",
        "-m",
        "omnidet.cli",
        "train",
        "--recipe",
        "tiny_world",
        "--out",
        "s3://bucket/runs/1/model",
    ),
    deadline_seconds=3600,
    num_nodes=2,
    gpus_per_node=8,
    memory="256Gi",
    shared_memory="64Gi",
    env={
        "AWS_ENDPOINT_URL": Reference("config", "omnidet-object-store", "AWS_ENDPOINT_URL"),
        "AWS_SECRET_ACCESS_KEY": Reference(
            "secret", "omnidet-object-store", "AWS_SECRET_ACCESS_KEY", optional=True
        ),
        "OMNIDET_GIT_COMMIT": "0123abc",
    },
    node_selector={"nvidia.com/gpu.present": "true"},
    tolerations=({"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"},),
    service_account="omnidet-train",
    image_pull_secrets=("registry",),
    queue="omnidet",
)
QUICK = Pace(
    poll_seconds=0.02,
    slowest_poll_seconds=0.05,
    hopeless_seconds=0.2,
    deadline_grace_seconds=0.1,
    delete_seconds=2,
)


def api(fake: Fake, patience_seconds: float = 5) -> Cluster:
    return Cluster(
        fake.client, patience_seconds=patience_seconds, pause_seconds=0.01, request_seconds=5
    )


def is_there() -> None:
    """An output that needs no looking."""


def wait_for(what: object, seconds: float = 20) -> None:
    give_up_at = time.monotonic() + seconds
    while not what():  # type: ignore[operator]
        assert time.monotonic() < give_up_at, "it did not happen"
        time.sleep(0.02)


class TestManifest:
    def test_knows_only_fields_of_the_schema(self) -> None:
        assert lost(models.TrainerV1alpha1TrainJob, manifest(JOB)) == []
        assert (
            lost(models.TrainerV1alpha1TrainJob, manifest(TrainJob("r", "n", "i:1", ("c",), 1)))
            == []
        )

    def test_the_schema_check_catches_fields_of_older_versions(self) -> None:
        for field in ("podSpecOverrides", "podTemplateOverrides", "labels"):
            stale = manifest(JOB)
            stale["spec"][field] = stale["spec"].pop("runtimePatches")
            assert lost(models.TrainerV1alpha1TrainJob, stale) == [f".spec.{field}"]

    @pytest.mark.parametrize(("field", "value"), [("numNodes", "four"), ("numProcPerNode", "auto")])
    def test_the_schema_check_catches_wrong_types(self, field: str, value: str) -> None:
        wrong = manifest(JOB)
        wrong["spec"]["trainer"][field] = value
        with pytest.raises(ValidationError, match=field):
            lost(models.TrainerV1alpha1TrainJob, wrong)

    def test_says_what_the_job_says(self) -> None:
        spec = manifest(JOB)["spec"]
        assert spec["activeDeadlineSeconds"] == 3600
        assert spec["runtimeRef"]["name"] == "omnidet-torch"
        trainer = spec["trainer"]
        assert (trainer["numNodes"], trainer["numProcPerNode"]) == (2, 8)
        assert trainer["resourcesPerNode"]["limits"] == {"memory": "256Gi", "nvidia.com/gpu": 8}
        assert trainer["env"][1]["valueFrom"]["secretKeyRef"] == {
            "name": "omnidet-object-store", "key": "AWS_SECRET_ACCESS_KEY", "optional": True
        }  # fmt: skip
        (patched,) = spec["runtimePatches"][0]["trainingRuntimeSpec"]["template"]["spec"][
            "replicatedJobs"
        ]
        pod = patched["template"]["spec"]["template"]["spec"]
        assert pod["volumes"] == [
            {"name": "dshm", "emptyDir": {"medium": "Memory", "sizeLimit": "64Gi"}}
        ]
        assert pod["serviceAccountName"] == "omnidet-train"
        assert manifest(JOB)["metadata"]["labels"]["kueue.x-k8s.io/queue-name"] == "omnidet"

    def test_without_gpus_one_process_trains(self) -> None:
        trainer = manifest(dataclasses.replace(JOB, gpus_per_node=0))["spec"]["trainer"]
        assert trainer["numProcPerNode"] == 1
        assert "nvidia.com/gpu" not in trainer["resourcesPerNode"]["limits"]

    @pytest.mark.parametrize(
        "run_id", ["7f9c2ba4-e88f-827d-6160-4507605853ed", "A.B_c", "9", "x" * 63]
    )
    def test_names_are_rfc_1035_and_leave_room_for_names_of_pods(self, run_id: str) -> None:
        name = dataclasses.replace(JOB, run_id=run_id, step="train-a-long").name
        assert name[0].isalpha()
        assert set(name) <= set("abcdefghijklmnopqrstuvwxyz0123456789-")
        assert len(f"{name}-node-0-999-abcde") <= 63

    def test_names_of_two_runs_or_steps_differ(self) -> None:
        others = [
            dataclasses.replace(JOB, run_id=JOB.run_id[:-1] + "0"),
            dataclasses.replace(JOB, step="tune"),
        ]
        assert len({JOB.name, *(other.name for other in others)}) == 3

    def test_is_owned_by_the_pod_of_the_step(
        self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        monkeypatch.delenv("KFP_POD_NAME", raising=False)
        assert "ownerReferences" not in manifest(JOB)["metadata"]
        monkeypatch.setenv("KFP_POD_NAME", "run-1")
        monkeypatch.setenv("KFP_POD_UID", "abc")
        owned = manifest(JOB)
        assert owned["metadata"]["ownerReferences"] == [
            {"apiVersion": "v1", "kind": "Pod", "name": "run-1", "uid": "abc"}
        ]
        assert lost(models.TrainerV1alpha1TrainJob, owned) == []
        (tmp_path / "namespace").write_text("elsewhere")
        monkeypatch.setattr(cluster, "SERVICE_ACCOUNT", tmp_path)
        with pytest.raises(ValueError, match="runs in elsewhere"):
            manifest(JOB)

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            ({"image": "ghcr.io/omnidet/train"}, "no fixed version"),
            ({"image": "localhost:5000/train"}, "no fixed version"),
            ({"image": "ghcr.io/omnidet/train:latest"}, "no fixed version"),
            ({"num_nodes": 0}, "num_nodes is 0"),
            ({"deadline_seconds": 0}, "deadline_seconds is 0"),
            ({"command": ()}, "no command"),
            ({"run_id": ""}, "cannot be a label"),
            ({"run_id": "a/b"}, "cannot be a label"),
            ({"step": "Train"}, "cannot be part of a name"),
            ({"shared_memory": "256Gi"}, "does not fit into memory"),
            ({"env": {"PET_NNODES": "2"}}, "is set by Trainer"),
            ({"env": {"AWS_SECRET_ACCESS_KEY": "hunter2"}}, "looks like a secret"),
        ],
    )
    def test_refuses(self, change: dict[str, object], message: str) -> None:
        with pytest.raises(ValueError, match=message) as caught:
            dataclasses.replace(JOB, **change)
        assert "hunter2" not in str(caught.value)

    def test_takes_a_digest(self) -> None:
        image = "ghcr.io/omnidet/train@sha256:" + "0" * 64
        assert dataclasses.replace(JOB, image=image).image == image


class TestRun:
    def test_trains_prints_the_log_and_leaves_the_job(
        self, fake: Fake, capsys: pytest.CaptureFixture[str]
    ) -> None:
        fake.status = ends("Complete", after=8)
        fake.add_pod(f"{JOB.name}-node-0-0-abcde", JOB.name)
        fake.add_pod(f"{JOB.name}-node-0-1-fghij", JOB.name, index=1)
        fake.logs[f"{JOB.name}-node-0-0-abcde"] = log_lines(*(f"step {i}" for i in range(10)))
        verified = []
        run(JOB, api(fake), lambda: verified.append(True), QUICK)
        out = capsys.readouterr().out
        assert [line for line in out.splitlines() if line.startswith("step")] == [
            f"step {i}" for i in range(10)
        ]
        assert "Complete" in out
        assert verified == [True]
        assert (len(fake.created), fake.deleted) == (1, [])

    @pytest.mark.parametrize("is_clean", [False, True])
    def test_a_dropped_log_stream_loses_and_repeats_no_line(
        self, fake: Fake, capsys: pytest.CaptureFixture[str], is_clean: bool
    ) -> None:
        fake.status = lambda _: ends("Complete", after=0 if len(fake.log_queries) > 1 else 1_000)(1)
        fake.cut_log_after, fake.cut_is_clean = 6, is_clean
        pod = f"{JOB.name}-node-0-0-abcde"
        fake.add_pod(pod, JOB.name)
        fake.logs[pod] = log_lines(*(f"step {i}" for i in range(10)))
        run(JOB, api(fake), is_there, QUICK)
        captured = capsys.readouterr()
        assert [line for line in captured.out.splitlines() if line.startswith("step")] == [
            f"step {i}" for i in range(10)
        ]
        assert ("connecting again" in captured.err) is not is_clean
        assert fake.log_queries[1]["sinceTime"] == "2026-11-22T12:00:01.251Z"

    def test_the_log_follows_node_0_into_a_new_pod(
        self, fake: Fake, capsys: pytest.CaptureFixture[str]
    ) -> None:
        old = fake.add_pod(f"{JOB.name}-node-0-0-old", JOB.name)
        fake.logs = {
            old["metadata"]["name"]: log_lines("first try"),
            f"{JOB.name}-node-0-0-new": log_lines("second try"),
        }

        def status(_: int) -> dict[str, object]:
            followed = {query["pod"] for query in fake.log_queries}
            with fake.lock:
                if len(followed) == 1 and old in fake.pods:
                    fake.pods.remove(old)
                    fake.add_pod(f"{JOB.name}-node-0-0-new", JOB.name)
            return ends("Complete", after=0 if len(followed) == 2 else 1_000)(1)

        fake.status = status
        run(JOB, api(fake), is_there, QUICK)
        out = capsys.readouterr().out
        assert "first try" in out
        assert "started again as" in out
        assert "second try" in out

    def test_a_complete_job_without_output_is_an_error_and_deleted(self, fake: Fake) -> None:
        fake.status = ends("Complete")

        def missing() -> None:
            raise FileNotFoundError("s3://bucket/runs/1/model/config.json does not exist")

        with pytest.raises(
            JobError,
            match=r"complete, but its output is not: s3://bucket/runs/1/model/config\.json",
        ):
            run(JOB, api(fake), missing, QUICK)
        assert fake.deleted == [(JOB.name, "Foreground")]

    def test_a_failed_job_tells_exit_codes_reasons_logs_and_events(self, fake: Fake) -> None:
        fake.status = ends(
            "Failed", reason="FailedJobs", message="jobset failed due to one or more job failures"
        )
        first, second = f"{JOB.name}-node-0-0-abcde", f"{JOB.name}-node-0-1-fghij"
        fake.add_pod(
            first,
            JOB.name,
            phase="Failed",
            **container("terminated", exitCode=137, reason="OOMKilled"),
        )
        fake.add_pod(
            second,
            JOB.name,
            index=1,
            phase="Failed",
            **container("terminated", exitCode=1, reason="Error"),
        )
        fake.logs[first] = log_lines(*(f"line {i}" for i in range(300)))
        fake.logs[second] = log_lines("RuntimeError: connection closed by peer")
        about = {
            "metadata": {"name": "e"},
            "reason": "BackOff",
            "message": "Back-off restarting",
            "count": 3,
        }
        fake.events = [
            about | {"involvedObject": {"kind": "Pod", "name": second}},
            about
            | {"involvedObject": {"kind": "Pod", "name": "of-someone-else"}, "reason": "Foreign"},
        ]
        with pytest.raises(JobError) as caught:
            run(JOB, api(fake), is_there, QUICK)
        message = str(caught.value)
        assert "jobset failed due to one or more job failures" in message
        assert "node exit code 137 (OOMKilled)" in message
        assert "node exit code 1 (Error)" in message
        assert "connection closed by peer" in message
        assert "BackOff: Back-off restarting (x3)" in message
        assert "Foreign" not in message
        assert sum(line.startswith("  line ") for line in message.splitlines()) == 200
        assert fake.deleted == [(JOB.name, "Foreground")]

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
        fake.add_pod(
            f"{JOB.name}-node-0-0-a",
            JOB.name,
            phase="Pending",
            **container("waiting", reason=reason, message=text),
        )
        with pytest.raises(JobError, match=f"cannot start.*{reason}: {text}"):
            run(JOB, api(fake), is_there, QUICK)
        assert fake.deleted == [(JOB.name, "Foreground")]

    @pytest.mark.slow
    def test_a_job_that_never_ends_is_deleted_after_its_deadline(self, fake: Fake) -> None:
        with pytest.raises(JobError, match="has not ended 1 s after its start"):
            run(dataclasses.replace(JOB, deadline_seconds=1), api(fake), is_there, QUICK)
        assert fake.deleted == [(JOB.name, "Foreground")]

    @pytest.mark.slow
    def test_waiting_in_a_queue_does_not_count(
        self, fake: Fake, capsys: pytest.CaptureFixture[str]
    ) -> None:
        started = time.monotonic()
        queued = {"conditions": [condition("Suspended", "Suspended", "waits for quota")]}

        def status(reads: int) -> dict[str, object]:
            return queued if time.monotonic() < started + 1.5 else ends("Complete", after=0)(reads)

        fake.status = status
        run(dataclasses.replace(JOB, deadline_seconds=1), api(fake), is_there, QUICK)
        assert (
            time.monotonic() - started >= 1.5
        )  # half a second more than the deadline and its grace allow
        assert (len(fake.created), fake.deleted) == (1, [])
        assert "waits for quota" in capsys.readouterr().out

    def test_pods_that_are_restarted_are_followed_to_the_end(
        self, fake: Fake, capsys: pytest.CaptureFixture[str]
    ) -> None:
        """Exit code 75 is torchrun's after a SIGTERM: the JobSet starts all nodes again, and the job goes on."""
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

        def status(_: int) -> dict[str, object]:
            with fake.lock:
                followed = {query["pod"] for query in fake.log_queries}
                if old[0] in fake.pods and names[0] in followed:
                    fake.pods.clear()
                    fake.add_pod("again", JOB.name, 0)
                    fake.add_pod("again-1", JOB.name, 1)
            jobs = [
                {"name": "node", "ready": 0 if old[0] in fake.pods else 2, "active": 2, "failed": 2}
            ]
            states.append(jobs[0]["ready"])
            return ends("Complete", after=0)(1) if "again" in followed else {"jobsStatus": jobs}

        fake.status = status
        verified = []
        run(JOB, api(fake), lambda: verified.append(True), QUICK)
        out = capsys.readouterr().out
        lines = [
            "step 0",
            "stopped by SIGTERM: checkpoint written",
            "--- node 0 is started again as again ---",
            "resumed at 1",
        ]
        assert [line for line in out.splitlines() if line in lines] == lines
        assert states[0] == 0
        assert verified == [True]
        assert (len(fake.created), fake.deleted) == (1, [])

    def test_a_job_that_someone_deletes_is_an_error(self, fake: Fake) -> None:
        fake.status = lambda reads: (
            (fake.jobs.clear() or running(reads)) if reads == 3 else running(reads)
        )
        with pytest.raises(JobError, match="deleted by someone else"):
            run(JOB, api(fake), is_there, QUICK)


class TestAdopt:
    def test_a_job_of_the_same_run_is_adopted_and_changes_its_owner(
        self, fake: Fake, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("KFP_POD_NAME", "try-1")
        monkeypatch.setenv("KFP_POD_UID", "1")
        fake.add_job(manifest(JOB))
        monkeypatch.setenv("KFP_POD_NAME", "try-2")
        monkeypatch.setenv("KFP_POD_UID", "2")
        fake.status = ends("Complete")
        run(JOB, api(fake), is_there, QUICK)
        assert (fake.created, fake.deleted) == ([], [])
        (owner,) = fake.jobs[JOB.name]["metadata"]["ownerReferences"]
        assert owner["uid"] == "2"

    @pytest.mark.parametrize(
        "label",
        [trainjob_manifest.RUN_LABEL, trainjob_manifest.PART_OF[0], trainjob_manifest.SPEC_LABEL],
    )
    def test_a_job_that_is_not_ours_is_an_error_and_left_alone(
        self, fake: Fake, label: str
    ) -> None:
        other = manifest(JOB)
        other["metadata"]["labels"][label] = "other"
        fake.add_job(other)
        with pytest.raises(JobError, match=r"is not this run's|trains something else"):
            run(JOB, api(fake), is_there, QUICK)
        assert fake.deleted == []
        assert JOB.name in fake.jobs

    def test_a_failed_job_of_an_earlier_try_is_replaced(self, fake: Fake) -> None:
        fake.finalizer_reads = 2
        fake.add_job(manifest(JOB) | {"status": {"conditions": [condition("Failed")]}})
        fake.status = ends("Complete", after=5)
        run(JOB, api(fake), is_there, QUICK)
        assert fake.deleted == [(JOB.name, "Foreground")]
        assert len(fake.created) == 1

    def test_a_job_that_does_not_go_away_is_an_error(self, fake: Fake) -> None:
        fake.finalizer_reads = 1_000_000
        fake.add_job(manifest(JOB) | {"status": {"conditions": [condition("Failed")]}})
        with pytest.raises(JobError, match="is not gone"):
            run(JOB, api(fake, patience_seconds=0.3), is_there, QUICK)


class TestOutages:
    def test_an_expired_token_is_read_again(self, fake: Fake) -> None:
        fake.status = ends("Complete", after=6)
        fake.token = "first"
        tokens = []

        def connect() -> object:
            tokens.append(fake.token)
            return fake.client(str(fake.token))

        def status(reads: int) -> dict[str, object]:
            if reads == 3:
                fake.token = "second"
            return ends("Complete", after=6)(reads)

        fake.status = status
        run(JOB, Cluster(connect, patience_seconds=5, pause_seconds=0.01), is_there, QUICK)
        assert {"first", "second"} == set(tokens)

    @pytest.mark.slow
    @pytest.mark.parametrize("resource", ["trainjobs", "pods"])
    def test_an_api_that_is_away_for_a_while_is_waited_for(self, fake: Fake, resource: str) -> None:
        fake.status = ends("Complete", after=5)
        verb = {"trainjobs": "get", "pods": "list"}[resource]
        fake.faults = [(verb, resource, status) for status in (500, 503, 429, 504)]
        run(JOB, api(fake), is_there, QUICK)
        assert fake.faults == []
        assert fake.deleted == []

    def test_a_creation_that_was_answered_with_500_but_happened_is_adopted(
        self, fake: Fake, capsys: pytest.CaptureFixture[str]
    ) -> None:
        fake.lost_answers = [("create", "trainjobs", 500)]
        fake.status = ends("Complete")
        run(JOB, api(fake), is_there, QUICK)
        assert fake.lost_answers == []
        assert fake.calls["create", "trainjobs"] == 2  # the second is told that there is one
        assert (len(fake.created), list(fake.jobs), fake.deleted) == (1, [JOB.name], [])
        assert "it is adopted" in capsys.readouterr().out

    def test_an_api_that_stays_away_is_given_up_and_the_job_left_to_a_retry(
        self, fake: Fake
    ) -> None:
        fake.faults = [("list", "pods", 500)] * 1000
        with pytest.raises(
            ClusterError,
            match=r"listing pods of TrainJob kubeflow/omnidet-train-.*: 500 scripted 500",
        ):
            run(JOB, api(fake, patience_seconds=0.2), is_there, QUICK)
        assert fake.deleted == []

    def test_a_server_that_does_not_answer_is_given_up(self, fake: Fake) -> None:
        client = fake.client()
        fake.__exit__()
        with pytest.raises(ClusterError, match="no answer"):
            Cluster(lambda: client, patience_seconds=0.1, pause_seconds=0.01).job(NAMESPACE, "x")

    def test_a_missing_runtime_tells_the_remedy(self, fake: Fake) -> None:
        fake.runtimes.clear()
        with pytest.raises(
            ClusterError, match=r"no ClusterTrainingRuntime omnidet-torch: .*kubectl apply -k"
        ):
            run(JOB, api(fake), is_there, QUICK)

    def test_missing_rights_are_told_at_once(self, fake: Fake) -> None:
        fake.rules = [
            rule for rule in rules("launcher-rbac.yaml") if "trainjobs" not in rule["resources"]
        ]
        with pytest.raises(
            ClusterError, match=r'403 trainjobs is forbidden: .* cannot create resource "trainjobs"'
        ):
            run(JOB, api(fake), is_there, QUICK)


def test_every_right_of_the_launcher_is_used(fake: Fake) -> None:
    """The server refuses what no rule allows; here no rule allows what nobody asks for."""
    fake.add_job(manifest(JOB))
    pod = f"{JOB.name}-node-0-0-a"
    fake.add_pod(pod, JOB.name, phase="Failed", **container("terminated", exitCode=1))
    fake.status = ends("Failed", after=6)
    with pytest.raises(JobError):
        run(JOB, api(fake), is_there, QUICK)
    granted = {
        (verb, resource)
        for rule in rules("launcher-rbac.yaml")
        for verb in rule["verbs"]
        for resource in rule["resources"]
    }
    assert set(fake.calls) == granted


LAUNCHER = """
import dataclasses
from components.trainjob.cluster import Cluster
from components.trainjob.job import run
from tests.components.trainjob.test_job import JOB, QUICK
run(dataclasses.replace(JOB, deadline_seconds=30), Cluster(pause_seconds=0.01), lambda: None, QUICK)
"""


@pytest.mark.slow
@pytest.mark.parametrize("moment", ["while it runs", "before it exists"])
def test_sigterm_deletes_the_job(fake: Fake, tmp_path: Path, moment: str) -> None:
    (tmp_path / "kubeconfig").write_text(fake.kubeconfig())
    fake.finalizer_reads = 3
    if moment == "before it exists":
        fake.faults = [("create", "trainjobs", 503)] * 100_000
    fake.add_pod(f"{JOB.name}-node-0-0-a", JOB.name)
    fake.logs[f"{JOB.name}-node-0-0-a"] = log_lines("step 0")
    environment = os.environ | {
        "KUBECONFIG": str(tmp_path / "kubeconfig"),
        "KFP_POD_NAME": "p",
        "KFP_POD_UID": "1",
    }
    process = subprocess.Popen(
        [sys.executable, "-c", LAUNCHER], env=environment, stdout=subprocess.PIPE, text=True
    )
    try:
        if moment == "while it runs":
            assert process.stdout is not None
            assert any(line == "step 0\n" for line in process.stdout)
        else:
            wait_for(lambda: fake.calls["create", "trainjobs"])
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=20)
    finally:
        process.kill()
    assert process.returncode == 143
    assert fake.deleted == ([(JOB.name, "Foreground")] if moment == "while it runs" else [])
