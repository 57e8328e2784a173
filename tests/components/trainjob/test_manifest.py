"""The TrainJob object: what it says, and what it refuses to say."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
from kubeflow_trainer_api import models
from pydantic import ValidationError

from components.trainjob.manifest import TrainJob, manifest
from components.trainjob.owner import Step
from tests.components.trainjob.conftest import JOB
from tests.components.trainjob.kubernetes_api import RUNTIME
from tests.components.trainjob.schema import lost


def _lost(content: dict[str, Any]) -> list[str]:
    return lost(models.TrainerV1alpha1TrainJob, content)


def test_it_has_only_fields_of_the_schema() -> None:
    assert _lost(manifest(JOB)) == []
    assert _lost(manifest(TrainJob("r", "n", "i:1", ("c",), 1, "t"))) == []


@pytest.mark.parametrize("field", ["podSpecOverrides", "podTemplateOverrides", "labels"])
def test_the_schema_check_catches_fields_of_older_versions(field: str) -> None:
    stale = manifest(JOB)
    stale["spec"][field] = stale["spec"].pop("runtimePatches")
    assert _lost(stale) == [f".spec.{field}"]


@pytest.mark.parametrize(("field", "value"), [("numNodes", "four"), ("numProcPerNode", "auto")])
def test_the_schema_check_catches_wrong_types(field: str, value: str) -> None:
    wrong = manifest(JOB)
    wrong["spec"]["trainer"][field] = value
    with pytest.raises(ValidationError, match=field):
        _lost(wrong)


def test_it_says_what_the_job_says() -> None:
    spec = manifest(JOB)["spec"]
    assert spec["activeDeadlineSeconds"] == 3600
    assert (spec["runtimeRef"]["kind"], spec["runtimeRef"]["name"]) == ("TrainingRuntime", RUNTIME)
    trainer = spec["trainer"]
    assert (trainer["numNodes"], trainer["numProcPerNode"]) == (2, 8)
    assert trainer["resourcesPerNode"]["limits"] == {"memory": "256Gi", "nvidia.com/gpu": 8}
    assert trainer["env"][1]["valueFrom"]["secretKeyRef"] == {
        "name": "omnidet-object-store",
        "key": "AWS_SECRET_ACCESS_KEY",
        "optional": True,
    }
    patch = spec["runtimePatches"][0]["trainingRuntimeSpec"]["template"]["spec"]
    (node,) = patch["replicatedJobs"]
    pod = node["template"]["spec"]["template"]["spec"]
    shared_memory = {"medium": "Memory", "sizeLimit": "64Gi"}
    assert pod["volumes"] == [{"name": "dshm", "emptyDir": shared_memory}]
    assert pod["serviceAccountName"] == "omnidet-train"
    assert manifest(JOB)["metadata"]["labels"]["kueue.x-k8s.io/queue-name"] == "omnidet"


def test_without_gpus_one_process_trains() -> None:
    trainer = manifest(dataclasses.replace(JOB, gpus_per_node=0))["spec"]["trainer"]
    assert trainer["numProcPerNode"] == 1
    assert "nvidia.com/gpu" not in trainer["resourcesPerNode"]["limits"]


@pytest.mark.parametrize("run_id", ["7f9c2ba4-e88f-827d-6160-4507605853ed", "A.B_c", "9", "x" * 63])
def test_names_are_rfc_1035_and_leave_room_for_names_of_pods(run_id: str) -> None:
    name = dataclasses.replace(JOB, run_id=run_id, step="train-a-long").name
    assert name[0].isalpha()
    assert set(name) <= set("abcdefghijklmnopqrstuvwxyz0123456789-")
    assert len(f"{name}-node-0-999-abcde") <= 63


def test_names_of_two_runs_or_steps_differ() -> None:
    other_run = dataclasses.replace(JOB, run_id=JOB.run_id[:-1] + "0")
    other_step = dataclasses.replace(JOB, step="tune")
    assert len({JOB.name, other_run.name, other_step.name}) == 3


def test_it_is_owned_by_the_run_of_the_step_that_watches_it() -> None:
    owner = {"apiVersion": "argoproj.io/v1alpha1", "kind": "Workflow", "name": "run", "uid": "9"}
    metadata = manifest(JOB, Step(JOB.namespace, "step", "1", owner))["metadata"]
    assert metadata["ownerReferences"] == [owner]
    assert metadata["annotations"] == {"omnidet.io/watched-by": "step/1"}
    assert "ownerReferences" not in manifest(JOB)["metadata"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"image": "ghcr.io/omnidet/train"}, "'ghcr.io/omnidet/train' has no fixed version"),
        ({"image": "localhost:5000/train"}, "'localhost:5000/train' has no fixed version"),
        ({"image": "ghcr.io/omnidet/train:latest"}, "train:latest' has no fixed version"),
        ({"num_nodes": 0}, "num_nodes is 0"),
        ({"deadline_seconds": 0}, "deadline_seconds is 0"),
        ({"command": ()}, "no command"),
        ({"run_id": ""}, "run id ''"),
        ({"run_id": "a/b"}, "run id 'a/b'"),
        ({"step": "Train"}, "step 'Train'"),
        ({"shared_memory": "256Gi"}, "256Gi .*/dev/shm"),
        ({"env": {"PET_NNODES": "2"}}, "PET_NNODES"),
        ({"env": {"AWS_SECRET_ACCESS_KEY": "hunter2"}}, "AWS_SECRET_ACCESS_KEY .*Reference"),
    ],
)
def test_it_refuses_what_the_cluster_would_refuse_later(
    change: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        dataclasses.replace(JOB, **change)
    assert "hunter2" not in str(caught.value)


def test_it_takes_a_digest() -> None:
    image = "ghcr.io/omnidet/train@sha256:" + "0" * 64
    assert dataclasses.replace(JOB, image=image).image == image
