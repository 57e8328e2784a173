"""What a training job is: its description and the Kubeflow Trainer v2 object made from it."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from kubernetes.utils.quantity import parse_quantity

from components.trainjob import cluster
from components.trainjob.connection import Object
from components.trainjob.owner import Step

PART_OF = ("app.kubernetes.io/part-of", "omnidet")
RUN_LABEL = "pipelines.kubeflow.org/run-id"
SPEC_LABEL = "omnidet.io/spec"
QUEUE_LABEL = "kueue.x-k8s.io/queue-name"
RESERVED = frozenset(
    {"PET_NNODES", "PET_NPROC_PER_NODE", "PET_NODE_RANK", "PET_MASTER_ADDR", "PET_MASTER_PORT"}
)
"""Trainer sets these for torchrun, and refuses a job that sets them itself."""
SECRET_NAME = re.compile(r"SECRET|PASSWORD|TOKEN|ACCESS_KEY|CREDENTIAL")
LABEL_VALUE = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?")


@dataclass(frozen=True)
class Reference:
    """A value in a Secret or ConfigMap of the namespace, which the launcher never sees."""

    kind: Literal["secret", "config"]
    name: str
    key: str
    optional: bool = False


@dataclass(frozen=True)
class TrainJob:
    """A distributed training run.

    Attributes:
        run_id: of the pipeline run. The job's name and labels come from it, so that a retried step
            finds its job.
        namespace: of the step's own pod: an owner must be in the namespace of what it owns.
        image: with a full tag or digest; a tag that moves would train something else after a retry.
        command: runs in every pod; torchrun finds nodes, ranks and the address of node 0 in the
            environment.
        deadline_seconds: Trainer stops the job after so long; waiting in a queue does not count.
        runtime: name of the TrainingRuntime of the namespace that describes the pods.
        gpus_per_node: also the number of processes per node; 0 trains on the CPU in one process.
        memory: limit of each pod, such as "64Gi"; what is written to /dev/shm counts.
        shared_memory: size of /dev/shm, through which the loader's workers hand over batches.
        env: values, or references to values in Secrets and ConfigMaps.
        queue: a Kueue LocalQueue of the namespace that admits the job; None starts it at once.
        step: distinguishes several training steps of one run.
    """

    run_id: str
    namespace: str
    image: str
    command: tuple[str, ...]
    deadline_seconds: int
    runtime: str
    num_nodes: int = 1
    gpus_per_node: int = 0
    cpu: str = "4"
    memory: str = "16Gi"
    shared_memory: str = "8Gi"
    env: Mapping[str, str | Reference] = field(default_factory=dict)
    node_selector: Mapping[str, str] = field(default_factory=dict)
    tolerations: tuple[Mapping[str, Any], ...] = ()
    service_account: str | None = None
    image_pull_secrets: tuple[str, ...] = ()
    queue: str | None = None
    step: str = "train"

    def __post_init__(self) -> None:
        """Refuse what the cluster would refuse later, or worse, accept."""
        if not LABEL_VALUE.fullmatch(self.run_id):
            raise ValueError(
                f"run id {self.run_id!r} cannot be a label: "
                "use 1 to 63 letters, digits, '-', '_' and '.'"
            )
        if not re.fullmatch(r"[a-z]([a-z0-9-]{0,10}[a-z0-9])?", self.step):
            raise ValueError(
                f"step {self.step!r} cannot be part of a name: "
                "use 1 to 12 of a-z, 0-9 and '-', a letter first"
            )
        _check_image(self.image)
        if not self.command:
            raise ValueError(
                "the job has no command: give one like ('torchrun', '-m', 'omnidet.cli', 'train')"
            )
        for name, least in (("num_nodes", 1), ("gpus_per_node", 0), ("deadline_seconds", 1)):
            if getattr(self, name) < least:
                raise ValueError(f"{name} is {getattr(self, name)}: give {least} or more")
        if parse_quantity(self.shared_memory) >= parse_quantity(self.memory):
            raise ValueError(
                f"shared memory of {self.shared_memory} does not fit in memory of {self.memory}: "
                "/dev/shm counts as memory, give less"
            )
        for name, value in self.env.items():
            if name in RESERVED:
                raise ValueError(f"environment variable {name} is set by Trainer: leave it out")
            if isinstance(value, str) and SECRET_NAME.search(name):
                raise ValueError(
                    f"environment variable {name} looks like a secret: give a Reference to a Secret"
                )

    @property
    def full_name(self) -> str:
        """Namespace and name, for people."""
        return f"{self.namespace}/{self.name}"

    @property
    def name(self) -> str:
        """Name of the object (RFC 1035), short enough for its pods' names to fit 63 characters."""
        readable = re.sub(r"[^a-z0-9]+", "-", self.run_id.lower())[:13].strip("-")
        digest = hashlib.sha256(self.run_id.encode()).hexdigest()[:8]
        return "-".join(part for part in ("omnidet", self.step, readable, digest) if part)


def manifest(job: TrainJob, step: Step | None = None) -> Object:
    """The TrainJob object.

    Args:
        step: the pod that watches it, whose run owns it; None outside of a pipeline.
    """
    spec = _spec(job)
    # Without the runtime: after an upgrade, a retried step still finds the job that it started.
    described = {key: value for key, value in spec.items() if key != "runtimeRef"}
    digest = hashlib.sha256(json.dumps(described, sort_keys=True).encode()).hexdigest()
    metadata: Object = {
        "name": job.name,
        "namespace": job.namespace,
        "labels": {
            PART_OF[0]: PART_OF[1],
            "app.kubernetes.io/component": "training",
            "app.kubernetes.io/managed-by": "omnidet-launcher",
            RUN_LABEL: job.run_id,
            SPEC_LABEL: digest[:16],
        },
    }
    if job.queue is not None:
        metadata["labels"][QUEUE_LABEL] = job.queue
    if step is not None:
        metadata |= step.metadata()
    return {
        "apiVersion": f"{cluster.GROUP}/{cluster.VERSION}",
        "kind": "TrainJob",
        "metadata": metadata,
        "spec": spec,
    }


def _spec(job: TrainJob) -> Object:
    limits: Object = {"memory": job.memory}
    if job.gpus_per_node:
        limits["nvidia.com/gpu"] = job.gpus_per_node
    node = {"name": "node", "template": {"spec": {"template": _pod_patch(job)}}}
    patch = {"template": {"spec": {"replicatedJobs": [node]}}}
    return {
        "runtimeRef": {
            "apiGroup": cluster.GROUP,
            "kind": "TrainingRuntime",
            "name": job.runtime,
        },
        "activeDeadlineSeconds": job.deadline_seconds,
        "trainer": {
            "image": job.image,
            "command": list(job.command),
            "numNodes": job.num_nodes,
            "numProcPerNode": max(1, job.gpus_per_node),
            # No CPU limit: a throttled loader would starve the GPU next to an idle core.
            "resourcesPerNode": {"requests": {"cpu": job.cpu, **limits}, "limits": limits},
            "env": [_variable(name, value) for name, value in sorted(job.env.items())],
        },
        "runtimePatches": [{"manager": "omnidet.io/launcher", "trainingRuntimeSpec": patch}],
    }


def _pod_patch(job: TrainJob) -> Object:
    """What is merged into the runtime's pod.

    Lists merge by name, except tolerations, which replace the runtime's.
    """
    spec: Object = {
        "volumes": [
            {"name": "dshm", "emptyDir": {"medium": "Memory", "sizeLimit": job.shared_memory}}
        ],
        "containers": [
            {"name": "node", "volumeMounts": [{"name": "dshm", "mountPath": "/dev/shm"}]}
        ],
    }
    if job.node_selector:
        spec["nodeSelector"] = dict(job.node_selector)
    if job.tolerations:
        spec["tolerations"] = [dict(toleration) for toleration in job.tolerations]
    if job.service_account is not None:
        spec["serviceAccountName"] = job.service_account
    if job.image_pull_secrets:
        spec["imagePullSecrets"] = [{"name": name} for name in job.image_pull_secrets]
    return {"metadata": {"labels": {RUN_LABEL: job.run_id}}, "spec": spec}


def _variable(name: str, value: str | Reference) -> Object:
    if isinstance(value, str):
        return {"name": name, "value": value}
    source = {"secret": "secretKeyRef", "config": "configMapKeyRef"}[value.kind]
    selector: Object = {"name": value.name, "key": value.key}
    if value.optional:
        selector["optional"] = True
    return {"name": name, "valueFrom": {source: selector}}


def _check_image(image: str) -> None:
    if re.search(r"@sha256:[0-9a-f]{64}$", image):
        return
    _, colon, tag = image.rpartition("/")[2].partition(":")
    if not colon or not tag or tag == "latest":
        raise ValueError(
            f"image {image!r} has no fixed version: "
            "give a full tag like ghcr.io/omnidet/train:0.1.0, or a digest"
        )
