"""How `fake_kubernetes.Fake` answers requests, as a Kubernetes API server does."""

from __future__ import annotations

import json
import re
import time
from http.server import BaseHTTPRequestHandler
from typing import Any
from urllib.parse import parse_qs, urlsplit

from kubeflow_trainer_api import models

from tests.components.trainjob.schema import lost

NAMESPACE = "kubeflow"
RUNTIME = "omnidet-torch-0-1-0-abc"

RESOURCES = {
    "runtime": (
        rf"/apis/trainer\.kubeflow\.org/v1alpha1/namespaces/{NAMESPACE}/trainingruntimes/([^/]+)",
        "trainingruntimes",
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
    "workflow": (
        rf"/apis/argoproj\.io/v1alpha1/namespaces/{NAMESPACE}/workflows/([^/]+)",
        "workflows",
    ),
    "events": (rf"/api/v1/namespaces/{NAMESPACE}/events", "events"),
}
GROUPS = {
    "trainjobs": "trainer.kubeflow.org",
    "trainingruntimes": "trainer.kubeflow.org",
    "workflows": "argoproj.io",
}


class Handler(BaseHTTPRequestHandler):
    """Each `_<verb>_<kind>` answers one of `RESOURCES`."""

    state: Any
    """The `Fake` that the server belongs to."""
    disable_nagle_algorithm = True  # else each response waits 40 ms for an acknowledgement
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
        """Log nothing."""

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
        if query.get("watch") == "true":
            verb, kind = "watch", "pods"
        with self.state.lock:
            refusal = self._refusal(verb, resource)
            self._instead = next(
                (lost for lost in self.state.lost_answers if lost[:2] == (verb, resource)), None
            )
            self.state.calls[verb, resource] += 1
        if refusal:
            self._refuse(*refusal)
            return
        if self.state.hangs == (verb, resource):
            self.state.num_hanging += 1
            while self.state.is_open:
                time.sleep(0.01)
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
        group = GROUPS.get(resource, "")
        if self.state.rules is not None and not any(
            group in rule["apiGroups"] and resource in rule["resources"] and verb in rule["verbs"]
            for rule in self.state.rules
        ):
            user = 'User "system:serviceaccount:kubeflow:x"'
            return 403, f'{resource} is forbidden: {user} cannot {verb} resource "{resource}"'
        return None

    def _get_runtime(self, name: str, **_: Any) -> None:
        if name in self.state.runtimes:
            self._send(200, {"metadata": {"name": name}})
        else:
            self._refuse(404, f'trainingruntimes.trainer.kubeflow.org "{name}" not found')

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
        annotations = job["metadata"].get("annotations", {}) | body["metadata"].pop(
            "annotations", {}
        )
        job["metadata"] |= body["metadata"]
        job["metadata"]["annotations"] = {k: v for k, v in annotations.items() if v is not None}
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
            if body["propagationPolicy"] == "Foreground":  # as recorded: Trainer 2.3 starts it anew
                self.state.revived.append(name)
            if self.state.finalizer_reads > 0:
                job["metadata"]["deletionTimestamp"] = "2026-11-22T12:00:00Z"
            else:
                del self.state.jobs[name]
        self._send(200, {"kind": "Status", "status": "Success"})

    def _list_pods(self, query: dict[str, str], **_: Any) -> None:
        key, _, value = query["labelSelector"].partition("=")
        with self.state.lock:
            items = [pod for pod in self.state.pods if pod["metadata"]["labels"].get(key) == value]
            if key == "jobset.sigs.k8s.io/jobset-name" and value not in self.state.jobs:
                items = items if self.state.ending_lists > 0 else []
                self.state.ending_lists -= 1
        self._send(200, {"kind": "PodList", "apiVersion": "v1", "metadata": {}, "items": items})

    def _watch_pods(self, query: dict[str, str], **_: Any) -> None:
        """All pods as they are, then what becomes of them."""
        key, _, job = query["labelSelector"].partition("=")
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        with self.state.lock:
            number = len(self.state.pod_events)
            self.state.num_watching += 1
            events = [("ADDED", pod) for pod in self.state.pods]
        give_up_at = time.monotonic() + min(int(query["timeoutSeconds"]), 20)
        while time.monotonic() < give_up_at and self.state.is_open:
            for kind, pod in events:
                if pod["metadata"]["labels"].get(key) == job:
                    self._chunk(json.dumps({"type": kind, "object": pod}) + "\n")
            time.sleep(0.01)
            with self.state.lock:
                events = self.state.pod_events[number:]
                number += len(events)
        self.wfile.write(b"0\r\n\r\n")

    def _get_workflow(self, name: str, **_: Any) -> None:
        workflow = self.state.workflows.get(name)
        if workflow is None:
            self._refuse(404, f'workflows.argoproj.io "{name}" not found')
        else:
            self._send(200, workflow)

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
        """The log as a kubelet gives it.

        From a whole second on, in chunks, and with `follow` until the pod has ended.
        """
        self.state.log_queries.append({"pod": name} | query)
        phases = {pod["metadata"]["name"]: pod["status"]["phase"] for pod in self.state.pods}
        if name not in phases:
            self._refuse(404, f'pods "{name}" not found')
            return
        if phases[name] == "Pending":
            waits = f'container "node" in pod "{name}" is waiting to start: ContainerCreating'
            self._refuse(400, waits)
            return
        self.send_response(200)
        self.send_header("Content-Type", "text/plain")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        since = query.get("sinceTime", "")[:19]
        written = list(self.state.logs.get(name, []))
        lines = [line for line in written if line[:19] >= since]
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
            self._log_line(line, query)
        number, goes_on = len(written), bool(query.get("follow"))
        while goes_on:
            time.sleep(0.01)
            goes_on = bool(self.state.jobs) and any(
                p["metadata"]["name"] == name and p["status"]["phase"] == "Running"
                for p in self.state.pods
            )
            more = self.state.logs.get(name, [])[number:]
            number += len(more)
            for line in more:
                self._log_line(line, query)
        self.wfile.write(b"0\r\n\r\n")

    def _log_line(self, line: str, query: dict[str, str]) -> None:
        self._chunk((line if query.get("timestamps") else line.partition(" ")[2]) + "\n")

    def _chunk(self, text: str) -> None:
        content = text.encode()
        self.wfile.write(b"%x\r\n%s\r\n" % (len(content), content))
        self.wfile.flush()

    def _refuse(self, status: int, message: str) -> None:
        content = {"kind": "Status", "apiVersion": "v1", "status": "Failure"}
        self._send(status, {**content, "message": message, "code": status})

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
