"""A cluster to launch on, with the launcher's own RBAC rules, and a job to launch."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from components.trainjob.cluster import Cluster
from components.trainjob.job import Pace
from components.trainjob.manifest import Reference, TrainJob
from tests.components.trainjob.fake_kubernetes import Fake
from tests.components.trainjob.kubernetes_api import NAMESPACE, RUNTIME

MANIFESTS = Path(__file__).resolve().parents[3] / "manifests"
COMMAND = ("torchrun", "-m", "omnidet.cli", "train", "--out", "s3://bucket/runs/1/model")
STORE = "omnidet-object-store"
JOB = TrainJob(
    run_id="7f9c2ba4-e88f-827d-6160-4507605853ed",
    namespace=NAMESPACE,
    image="ghcr.io/omnidet/train:0.1.0",
    command=COMMAND,
    deadline_seconds=3600,
    runtime=RUNTIME,
    num_nodes=2,
    gpus_per_node=8,
    memory="256Gi",
    shared_memory="64Gi",
    env={
        "AWS_ENDPOINT_URL": Reference("config", STORE, "AWS_ENDPOINT_URL"),
        "AWS_SECRET_ACCESS_KEY": Reference("secret", STORE, "AWS_SECRET_ACCESS_KEY", optional=True),
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
    resumes=2,
    resume_seconds=0.02,
    delete_seconds=2,
)
"""A launcher's pauses, so short that no test waits for them."""
DELETED = [(JOB.name, "Background")]
"""What the server is asked for when a job is deleted."""


def rules(file: str) -> list[dict[str, Any]]:
    """The RBAC rules that a manifest grants."""
    documents = yaml.safe_load_all((MANIFESTS / "base" / file).read_text(encoding="utf-8"))
    return [rule for document in documents for rule in document.get("rules", [])]


def granted(file: str) -> set[tuple[str, str]]:
    """Verb and resource of everything that a manifest grants."""
    return {
        (verb, resource)
        for rule in rules(file)
        for verb in rule["verbs"]
        for resource in rule["resources"]
    }


def api(fake: Fake, patience_seconds: float = 5) -> Cluster:
    """The API of that server, without pauses."""
    return Cluster(
        fake.client, patience_seconds=patience_seconds, pause_seconds=0.01, request_seconds=5
    )


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> Iterator[Fake]:
    """A running server; every request it gets must be for something it knows."""
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.setenv(name, "127.0.0.1")
    for name in ("KFP_POD_NAME", "KFP_POD_UID"):
        monkeypatch.delenv(name, raising=False)
    with Fake(rules=rules("launcher-rbac.yaml")) as server:
        yield server
    assert server.unexpected == []
