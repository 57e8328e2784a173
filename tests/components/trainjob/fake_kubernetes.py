"""A small Kubernetes API server on loopback: real HTTP, real status objects, RBAC rules, and a script of misbehaviour.

It knows the paths that the launcher and the reaper use. Anything else is answered with 404 and noted in `unexpected`.
"""

from __future__ import annotations

import copy
import datetime
import itertools
import json
import re
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import yaml
from kubeflow_trainer_api import models
from kubernetes import client

NAMESPACE = "kubeflow"
STATUS = Callable[[int], dict[str, Any]]
"""Number of times that a job was read -> its status."""

RESOURCES = {
    "runtime": (
        r"/apis/trainer\.kubeflow\.org/v1alpha1/clustertrainingruntimes/([^/]+)",
        "clustertrainingruntimes",
    ),
    "jobs": (
        rf"/apis/trainer\.kubeflow\.org/v1alpha1/namespaces/{NAMESPACE}/trainjobs",
        "trainjobs",
    ),
    "job": (
        rf"/apis/trainer\.kubeflow\.org/v1alpha1/namespaces/{NAMESPACE}/trainjobs/([^/]+)",
        "trainjobs",
    ),
    "pods": (rf"/api/v1/namespaces/{NAMESPACE}/pods", "pods"),
    "pod": (rf"/api/v1/namespaces/{NAMESPACE}/pods/([^/]+)", "pods"),
    "log": (rf"/api/v1/namespaces/{NAMESPACE}/pods/([^/]+)/log", "pods/log"),
    "events": (rf"/api/v1/namespaces/{NAMESPACE}/events", "events"),
}


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
    """The status of a job that runs for ever."""
    return {
        "jobsStatus": [
            {"name": "node", "ready": 1, "active": 1, "failed": 0, "succeeded": 0, "suspended": 0}
        ]
    }


def ends(kind: str, after: int = 3, reason: str = "Because", message: str = "it is so") -> STATUS:
    """The status of a job that runs until it was read so many times."""
    return lambda reads: (
        {"conditions": [condition(kind, reason, message)]} if reads > after else running(reads)
    )


@dataclass
class Fake:
    """What the cluster holds, and how it misbehaves.

    Attributes:
        status: what becomes of each job.
        faults: answers to give instead, each used once: (verb, resource, HTTP status).
        lost_answers: the same, but what was asked for is done: the caller only is told otherwise.
        rules: RBAC rules; a call that none allows is answered with 403. None allows everything.
        token: the bearer token that is accepted; None accepts any.
        cut_log_after: number of log lines after which a followed stream breaks off in the middle of a line, once.
        cut_is_clean: the stream ends there as if it were whole, as a proxy does it.
        finalizer_reads: number of reads that a deleted job outlives.
    """

    status: STATUS = running
    faults: list[tuple[str, str, int]] = field(default_factory=list)
    lost_answers: list[tuple[str, str, int]] = field(default_factory=list)
    rules: list[dict[str, Any]] | None = None
    token: str | None = None
    cut_log_after: int | None = None
    cut_is_clean: bool = False
    finalizer_reads: int = 0
    runtimes: set[str] = field(default_factory=lambda: {"omnidet-torch"})
    jobs: dict[str, dict[str, Any]] = field(default_factory=dict)
    pods: list[dict[str, Any]] = field(default_factory=list)
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

    def __enter__(self) -> Fake:
        """Listen on a free port."""
        fake, numbers = self, itertools.count(1)
        self._numbers = numbers

        class Handler(_Handler):
            state = fake

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True
        ).start()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop listening."""
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
        return yaml.safe_dump(
            {
                "apiVersion": "v1",
                "kind": "Config",
                "clusters": [{"name": "fake", "cluster": {"server": self.url}}],
                "users": [{"name": "fake", "user": {"token": "secret-token"}}],
                "contexts": [
                    {
                        "name": "fake",
                        "context": {"cluster": "fake", "user": "fake", "namespace": NAMESPACE},
                    }
                ],
                "current-context": "fake",
            }
        )

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
        with self.lock:
            self.pods.append(pod)
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
    """Lines with a kubelet's time stamps, several a second, trailing zeros left out."""
    return [
        f"2026-11-22T12:00:{start + i // 4:02}.{str(250 * (i % 4) + 1).zfill(3)}Z {text}"
        for i, text in enumerate(texts)
    ]


class _Handler(BaseHTTPRequestHandler):
    state: Fake
    _instead: tuple[str, str, int] | None = None
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self._answer("get")

    def do_POST(self) -> None:
        self._answer("create")

    def do_PATCH(self) -> None:
        self._answer("patch")

    def do_DELETE(self) -> None:
        self._answer("delete")

    def log_message(self, *_: Any) -> None:
        """Say nothing."""

    def _answer(self, verb: str) -> None:
        parts = urlsplit(self.path)
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        found = next(
            (
                (kind, resource, match)
                for kind, (pattern, resource) in RESOURCES.items()
                if (match := re.fullmatch(pattern, parts.path))
            ),
            None,
        )
        if found is None:
            self.state.unexpected.append(f"{verb} {self.path}")
            self._refuse(404, "the server could not find the requested resource")
            return
        kind, resource, match = found
        verb = "list" if verb == "get" and kind in ("jobs", "pods", "events") else verb
        query = {key: values[0] for key, values in parse_qs(parts.query).items()}
        with self.state.lock:
            refusal = self._refusal(verb, resource)
            self._instead = next(
                (lost for lost in self.state.lost_answers if lost[:2] == (verb, resource)), None
            )
            self.state.calls[verb, resource] += 1
        if refusal:
            self._refuse(*refusal)
            return
        method = getattr(self, f"_{verb}_{kind}", None)
        if method is None:
            self.state.unexpected.append(f"{verb} {self.path}")
            self._refuse(405, "the server does not allow this method on the requested resource")
            return
        method(*match.groups(), query=query, body=json.loads(body) if body else {})

    def _refusal(self, verb: str, resource: str) -> tuple[int, str] | None:
        for fault in self.state.faults:
            if fault[:2] == (verb, resource):
                self.state.faults.remove(fault)
                return fault[2], f"scripted {fault[2]}"
        if (
            self.state.token is not None
            and self.headers.get("Authorization") != f"Bearer {self.state.token}"
        ):
            return 401, "Unauthorized"
        group = (
            "trainer.kubeflow.org" if resource in ("trainjobs", "clustertrainingruntimes") else ""
        )
        if self.state.rules is not None and not any(
            group in rule["apiGroups"] and resource in rule["resources"] and verb in rule["verbs"]
            for rule in self.state.rules
        ):
            return (
                403,
                f'{resource} is forbidden: User "system:serviceaccount:kubeflow:x" cannot {verb} resource "{resource}"',
            )
        return None

    def _get_runtime(self, name: str, **_: Any) -> None:
        if name in self.state.runtimes:
            self._send(200, {"metadata": {"name": name}})
        else:
            self._refuse(404, f'clustertrainingruntimes.trainer.kubeflow.org "{name}" not found')

    def _create_jobs(self, body: dict[str, Any], **_: Any) -> None:
        name = body["metadata"]["name"]
        with self.state.lock:
            if name in self.state.jobs:
                self._refuse(409, f'trainjobs.trainer.kubeflow.org "{name}" already exists')
                return
            missing = lost(models.TrainerV1alpha1TrainJob, body)
            if missing:
                self._refuse(400, f"strict decoding error: unknown field {missing[0]}")
                return
            self.state.created.append(body)
            self._send(201, self.state.add_job(body))

    def _list_jobs(self, query: dict[str, str], **_: Any) -> None:
        key, _, value = query["labelSelector"].partition("=")
        items = [
            job
            for job in self.state.jobs.values()
            if job["metadata"].get("labels", {}).get(key) == value
        ]
        self._send(200, {"items": items})

    def _get_job(self, name: str, **_: Any) -> None:
        with self.state.lock:
            job = self.state.jobs.get(name)
            if job is None:
                self._refuse(404, f'trainjobs.trainer.kubeflow.org "{name}" not found')
                return
            self.state.reads[name] += 1
            reads = self.state.reads[name]
            if "deletionTimestamp" in job["metadata"]:
                self.state.finalizer_reads -= 1
                if self.state.finalizer_reads <= 0:
                    del self.state.jobs[name]
        self._send(200, {"status": self.state.status(reads), **job})

    def _patch_job(self, name: str, body: dict[str, Any], **_: Any) -> None:
        assert self.headers["Content-Type"] == "application/merge-patch+json"
        job = self.state.jobs[name]
        if body["metadata"].pop("uid") != job["metadata"]["uid"]:
            self._refuse(409, "Precondition failed: UID")
            return
        job["metadata"] |= body["metadata"]
        self._send(200, job)

    def _delete_job(self, name: str, body: dict[str, Any], **_: Any) -> None:
        with self.state.lock:
            job = self.state.jobs.get(name)
            if job is None:
                self._refuse(404, f'trainjobs.trainer.kubeflow.org "{name}" not found')
                return
            if body["preconditions"]["uid"] != job["metadata"]["uid"]:
                self._refuse(409, "Precondition failed: UID")
                return
            self.state.deleted.append((name, body["propagationPolicy"]))
            if self.state.finalizer_reads > 0:
                job["metadata"]["deletionTimestamp"] = "2026-11-22T12:00:00Z"
            else:
                del self.state.jobs[name]
        self._send(200, {"kind": "Status", "status": "Success"})

    def _list_pods(self, query: dict[str, str], **_: Any) -> None:
        key, _, value = query["labelSelector"].partition("=")
        with self.state.lock:
            items = [pod for pod in self.state.pods if pod["metadata"]["labels"].get(key) == value]
        self._send(200, {"kind": "PodList", "apiVersion": "v1", "metadata": {}, "items": items})

    def _get_pod(self, name: str, **_: Any) -> None:
        pod = next((pod for pod in self.state.pods if pod["metadata"]["name"] == name), None)
        if pod is None:
            self._refuse(404, f'pods "{name}" not found')
        else:
            self._send(200, pod)

    def _list_events(self, query: dict[str, str], **_: Any) -> None:
        assert query["fieldSelector"] == "type=Warning"
        self._send(
            200,
            {"kind": "EventList", "apiVersion": "v1", "metadata": {}, "items": self.state.events},
        )

    def _get_log(self, name: str, query: dict[str, str], **_: Any) -> None:
        """The log as a kubelet gives it: from a whole second on, in chunks, and with `follow` until the pod has ended."""
        self.state.log_queries.append({"pod": name} | query)
        self.send_response(200)
        self.send_header("Content-Type", "text/plain")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        since = query.get("sinceTime", "")[:19]
        lines = [line for line in self.state.logs.get(name, []) if line[:19] >= since]
        if "tailLines" in query:
            lines = lines[-int(query["tailLines"]) :]
        for number, line in enumerate(lines):
            if query.get("follow") and number == self.state.cut_log_after:
                self.state.cut_log_after = None
                self._chunk(line[:-2])
                if self.state.cut_is_clean:
                    self.wfile.write(b"0\r\n\r\n")
                self.close_connection = True
                return
            self._chunk((line if query.get("timestamps") else line.partition(" ")[2]) + "\n")
        while query.get("follow") and any(
            p["metadata"]["name"] == name and p["status"]["phase"] == "Running"
            for p in self.state.pods
        ):
            if not self.state.jobs:
                break
            time.sleep(0.01)
        self.wfile.write(b"0\r\n\r\n")

    def _chunk(self, text: str) -> None:
        content = text.encode()
        self.wfile.write(b"%x\r\n%s\r\n" % (len(content), content))
        self.wfile.flush()

    def _refuse(self, status: int, message: str) -> None:
        self._send(
            status,
            {
                "kind": "Status",
                "apiVersion": "v1",
                "status": "Failure",
                "message": message,
                "code": status,
            },
        )

    def _send(self, status: int, content: dict[str, Any]) -> None:
        if self._instead and status < 400:
            self.state.lost_answers.remove(self._instead)
            lost, self._instead = self._instead, None
            self._refuse(lost[2], f"scripted {lost[2]}")
            return
        body = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def lost(model: Any, content: dict[str, Any]) -> list[str]:
    """Paths of `content` that the schema does not know: a CRD's server would refuse or drop them.

    Raises:
        pydantic.ValidationError: a value is missing or has the wrong type.
    """
    return list(_differences(content, model.from_dict(copy.deepcopy(content)).to_dict(), ""))


def _differences(given: Any, kept: Any, path: str) -> Iterable[str]:
    if isinstance(given, dict) and isinstance(kept, dict):
        for key, value in given.items():
            if key in kept:
                yield from _differences(value, kept[key], f"{path}.{key}")
            else:
                yield f"{path}.{key}"
    elif isinstance(given, list) and isinstance(kept, list) and len(given) == len(kept):
        for number, (one, other) in enumerate(zip(given, kept, strict=True)):
            yield from _differences(one, other, f"{path}[{number}]")
    elif given != kept:
        yield path


def _text(time: datetime.datetime) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ")
