"""A small Kubernetes API server on loopback: real HTTP and objects, RBAC rules, scripted faults.

`kubernetes_api.py` answers its requests. Paths that neither launcher nor reaper use get a 404 and
are noted in `unexpected`.
"""

from __future__ import annotations

import copy
import datetime
import itertools
import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import ThreadingHTTPServer
from typing import Any

import yaml
from kubernetes import client

from tests.components.trainjob.kubernetes_api import NAMESPACE, RUNTIME, Handler

STATUS = Callable[[int], dict[str, Any]]
"""Number of times that a job was read -> its status."""


def condition(kind: str, reason: str = "Because", message: str = "it is so") -> dict[str, Any]:
    """A condition of a TrainJob that holds."""
    return {
        "type": kind,
        "status": "True",
        "reason": reason,
        "message": message,
        "lastTransitionTime": "2026-11-22T12:00:00Z",
    }


def running(_: int) -> dict[str, Any]:
    """The status of a job that never ends."""
    return {
        "jobsStatus": [
            {"name": "node", "ready": 1, "active": 1, "failed": 0, "succeeded": 0, "suspended": 0}
        ]
    }


def ends(kind: str, after: int = 3, reason: str = "Because", message: str = "it is so") -> STATUS:
    """The status of a job that ends once it was read so many times."""
    return lambda reads: (
        {"conditions": [condition(kind, reason, message)]} if reads > after else running(reads)
    )


@dataclass
class Fake:
    """What the cluster holds, and how it misbehaves.

    Attributes:
        status: what becomes of each job.
        faults: responses to give instead, each used once: (verb, resource, HTTP status).
        lost_answers: the same, but the request is carried out: only its response is lost.
        num_watching: how often a watch has begun.
        hangs: verb and resource of calls that get no answer; `num_hanging` have come.
        rules: RBAC rules; a call that none of them allows gets a 403. None allows everything.
        token: the bearer token that is accepted; None accepts any.
        cut_log_after: after how many lines a followed stream breaks off, once, within a line.
        cut_is_clean: whether the stream ends there as if it were whole, as with some proxies.
        finalizer_reads: how many reads a deleted job outlives.
        ending_lists: how often the pods of a job that is not there are still listed.
        revived: jobs that were deleted in a way that starts them again.
    """

    status: STATUS = running
    faults: list[tuple[str, str, int]] = field(default_factory=list)
    lost_answers: list[tuple[str, str, int]] = field(default_factory=list)
    hangs: tuple[str, str] | None = None
    num_hanging: int = 0
    num_watching: int = 0
    rules: list[dict[str, Any]] | None = None
    token: str | None = None
    cut_log_after: int | None = None
    cut_is_clean: bool = False
    finalizer_reads: int = 0
    ending_lists: int = 0
    revived: list[str] = field(default_factory=list)
    runtimes: set[str] = field(default_factory=lambda: {RUNTIME})
    jobs: dict[str, dict[str, Any]] = field(default_factory=dict)
    pods: list[dict[str, Any]] = field(default_factory=list)
    pod_events: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    workflows: dict[str, dict[str, Any]] = field(default_factory=dict)
    events: list[dict[str, Any]] = field(default_factory=list)
    logs: dict[str, list[str]] = field(default_factory=dict)
    calls: Counter[tuple[str, str]] = field(default_factory=Counter)
    log_queries: list[dict[str, str]] = field(default_factory=list)
    created: list[dict[str, Any]] = field(default_factory=list)
    deleted: list[tuple[str, str]] = field(default_factory=list)
    unexpected: list[str] = field(default_factory=list)
    reads: Counter[str] = field(default_factory=Counter)
    lock: threading.RLock = field(default_factory=threading.RLock)
    url: str = ""
    is_open: bool = True

    def __enter__(self) -> Fake:
        """Listen on a free port."""
        self._numbers = itertools.count(1)
        handler = type("OwnHandler", (Handler,), {"state": self})
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        serve = {"target": self._server.serve_forever, "kwargs": {"poll_interval": 0.01}}
        threading.Thread(**serve, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop listening."""
        self.is_open = False
        self._server.shutdown()
        self._server.server_close()

    def client(self, token: str = "secret-token") -> client.ApiClient:
        """A client of this server."""
        configuration = client.Configuration()
        configuration.host = self.url
        configuration.api_key = {"authorization": f"Bearer {token}"}
        configuration.retries = False
        return client.ApiClient(configuration)

    def kubeconfig(self) -> str:
        """A kubeconfig for this server, as YAML."""
        context = {"cluster": "fake", "user": "fake", "namespace": NAMESPACE}
        config = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "fake", "cluster": {"server": self.url}}],
            "users": [{"name": "fake", "user": {"token": "secret-token"}}],
            "contexts": [{"name": "fake", "context": context}],
            "current-context": "fake",
        }
        return yaml.safe_dump(config)

    def add_job(self, job: dict[str, Any], age_seconds: float = 0) -> dict[str, Any]:
        """Put a job into the cluster, as the server would store it."""
        created = datetime.datetime.now(datetime.UTC) - datetime.timedelta(seconds=age_seconds)
        stored = copy.deepcopy(job)
        stored["metadata"] |= {
            "uid": f"uid-{next(self._numbers)}",
            "creationTimestamp": _text(created),
        }
        self.jobs[stored["metadata"]["name"]] = stored
        return stored

    def add_pod(
        self, name: str, job: str, index: int = 0, phase: str = "Running", **status: Any
    ) -> dict[str, Any]:
        """Put a pod of a job into the cluster."""
        key = "batch.kubernetes.io/job-completion-index"
        metadata = {
            "name": name,
            "namespace": NAMESPACE,
            "uid": f"uid-{next(self._numbers)}",
            "creationTimestamp": _text(datetime.datetime.now(datetime.UTC)),
            "labels": {"jobset.sigs.k8s.io/jobset-name": job, key: str(index)},
        }
        pod = {
            "metadata": metadata,
            "spec": {"containers": [{"name": "node"}]},
            "status": {"phase": phase, **status},
        }
        self.put_pod(pod)
        return pod

    def put_pod(self, pod: dict[str, Any]) -> None:
        """A pod appears, or one of that name changes."""
        name = pod["metadata"]["name"]
        with self.lock:
            others = [one for one in self.pods if one["metadata"]["name"] != name]
            self.pod_events.append(
                ("ADDED" if len(others) == len(self.pods) else "MODIFIED", copy.deepcopy(pod))
            )
            self.pods = [*others, pod]

    def remove_pod(self, name: str) -> None:
        """A pod goes, and its log with it."""
        with self.lock:
            self.pod_events += [
                ("DELETED", pod) for pod in self.pods if pod["metadata"]["name"] == name
            ]
            self.pods = [pod for pod in self.pods if pod["metadata"]["name"] != name]

    def add_run(self, step: str, uid: str, **workflow: Any) -> dict[str, Any]:
        """A run of Kubeflow Pipelines, and the pod of its train step."""
        name = "omnidet-train-detector-dgdzb"
        self.workflows[name] = {
            "metadata": {"name": name, "namespace": NAMESPACE, "uid": "uid-of-run"},
            "spec": {},
            "status": {"phase": "Running", "startedAt": _text(datetime.datetime.now(datetime.UTC))},
        } | workflow
        owner = {"apiVersion": "argoproj.io/v1alpha1", "kind": "Workflow", "name": name}
        pod = {
            "metadata": {
                "name": step,
                "namespace": NAMESPACE,
                "uid": uid,
                "labels": {"workflows.argoproj.io/workflow": name},
                "ownerReferences": [
                    owner | {"uid": "uid-of-run", "controller": True, "blockOwnerDeletion": True}
                ],
            },
            "spec": {"containers": [{"name": "main"}]},
            "status": {"phase": "Running"},
        }
        self.put_pod(pod)
        return pod


def container(state: str, **details: Any) -> dict[str, Any]:
    """Status of the container `node`."""
    status = {
        "name": "node",
        "image": "i",
        "imageID": "",
        "ready": False,
        "restartCount": 0,
        "state": {state: details},
    }
    return {"containerStatuses": [status]}


def log_lines(*texts: str, start: int = 0) -> list[str]:
    """Lines with a kubelet's time stamps: several a second, without trailing zeros."""
    return [
        f"2026-11-22T12:00:{start + i // 4:02}.{str(250 * (i % 4) + 1).zfill(3)}Z {text}"
        for i, text in enumerate(texts)
    ]


def _text(time: datetime.datetime) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ")
