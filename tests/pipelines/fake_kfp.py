"""A small Kubeflow Pipelines server on loopback: real HTTP and JSON of the v2beta1 REST API.

It knows the calls that `pipelines/client.py` and `pipelines/schedules.py` make, and follows a
script of what runs do; the steps of a run, and its logs, are those of real servers. Any other call
gets a 404 and is noted in `unexpected`.
"""

from __future__ import annotations

import json
import re
import threading
from collections import Counter
from dataclasses import dataclass, field
from email.parser import BytesParser
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

from tests.samples.kfp import failed_step_log, recorded

Object = dict[str, Any]
PREFIX = "/apis/v2beta1"
FAILED_NODE = "omnidet-train-detector-wxzrr-3415874556"
"""The pod of the step that failed in the recording `run_failed`."""


@dataclass(frozen=True)
class Asked:
    """The content of a call."""

    identity: str
    query: dict[str, str]
    body: Any


@dataclass
class Fake:
    """What the server holds, and how it misbehaves.

    Attributes:
        states: what a run goes through, one for each look; the last one stays.
        failures: by "METHOD path", the statuses to answer before the call is served.
        recordings: names of recorded answers, one for each look, instead of `states`.
        logs: of nodes, by their ids.
        token: what every call must carry.
        blind: names of pipelines that exist but are not listed the first time.
    """

    states: tuple[str, ...] = ("PENDING", "RUNNING", "SUCCEEDED")
    failures: dict[str, list[int]] = field(default_factory=dict)
    recordings: tuple[Any, ...] = ()
    logs: dict[str, str] = field(default_factory=dict)
    asked_logs: list[str] = field(default_factory=list)
    token: str | None = None
    blind: set[str] = field(default_factory=set)
    pipelines: list[Object] = field(default_factory=list)
    versions: list[Object] = field(default_factory=list)
    experiments: list[Object] = field(default_factory=list)
    runs: dict[str, Object] = field(default_factory=dict)
    terminated: list[str] = field(default_factory=list)
    schedules: list[Object] = field(default_factory=list)
    unexpected: list[str] = field(default_factory=list)
    calls: Counter[str] = field(default_factory=Counter)
    packages: list[bytes] = field(default_factory=list)

    def __enter__(self) -> Fake:
        """Start to serve."""
        self._server = ThreadingHTTPServer(
            ("127.0.0.1", 0), type("Handler", (_Handler,), {"fake": self})
        )
        self._server.daemon_threads = True
        serve = {"target": self._server.serve_forever, "kwargs": {"poll_interval": 0.01}}
        threading.Thread(**serve, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop."""
        self._server.shutdown()
        self._server.server_close()

    @property
    def host(self) -> str:
        """Its URL."""
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def answer(
        self, method: str, path: str, query: dict[str, str], body: Any
    ) -> tuple[int, Object]:
        """Status and content."""
        call = f"{method} {path}"
        self.calls[call] += 1
        if self.failures.get(call):
            status = self.failures[call].pop(0)
            return status, {"error_message": f"scripted {status}"}
        for pattern, kind in _ROUTES.items():
            match = re.fullmatch(pattern, call)
            if match:
                return getattr(self, f"_{kind}")(Asked("".join(match.groups()), query, body))
        self.unexpected.append(call)
        return 404, {"error_message": f"no such call: {call}"}

    def _healthz(self, _: Asked) -> tuple[int, Object]:
        return 200, {"multi_user": False}

    def _list_experiments(self, asked: Asked) -> tuple[int, Object]:
        return 200, {"experiments": _matching(self.experiments, asked.query)}

    def _create_experiment(self, asked: Asked) -> tuple[int, Object]:
        self.experiments.append(
            {**asked.body, "experiment_id": f"experiment-{len(self.experiments)}"}
        )
        return 200, self.experiments[-1]

    def _list_pipelines(self, asked: Asked) -> tuple[int, Object]:
        found = [
            p for p in _matching(self.pipelines, asked.query) if p["display_name"] not in self.blind
        ]
        self.blind.clear()
        return 200, {"pipelines": found}

    def _upload(self, asked: Asked) -> tuple[int, Object]:
        if any(p["display_name"] == asked.query["name"] for p in self.pipelines):
            return 409, {"error_message": f"pipeline {asked.query['name']} already exists"}
        self.packages.append(asked.body)
        self.pipelines.append(
            {
                "display_name": asked.query["name"],
                "pipeline_id": f"pipeline-{len(self.pipelines)}",
                "description": asked.query.get("description", ""),
            }
        )
        return 200, self.pipelines[-1]

    def _upload_version(self, asked: Asked) -> tuple[int, Object]:
        if asked.query["pipelineid"] not in {p["pipeline_id"] for p in self.pipelines}:
            return 404, {"error_message": "no such pipeline"}
        if any(
            v["display_name"] == asked.query["name"]
            for v in self.versions
            if v["pipeline_id"] == asked.query["pipelineid"]
        ):
            return 409, {"error_message": f"version {asked.query['name']} already exists"}
        self.packages.append(asked.body)
        identity = f"version-{len(self.versions)}"
        version = {
            "display_name": asked.query["name"],
            "pipeline_id": asked.query["pipelineid"],
            "pipeline_version_id": identity,
            "description": asked.query.get("description", ""),
        }
        self.versions.append(version)
        return 200, version

    def _list_versions(self, asked: Asked) -> tuple[int, Object]:
        own = [v for v in self.versions if v["pipeline_id"] == asked.identity]
        return 200, {"pipeline_versions": _matching(own, asked.query)}

    def _create_run(self, asked: Asked) -> tuple[int, Object]:
        identity = f"run-{len(self.runs)}"
        self.runs[identity] = {**asked.body, "run_id": identity, "looks": 0}
        return 200, {**asked.body, "run_id": identity}

    def _get_run(self, asked: Asked) -> tuple[int, Object]:
        if asked.identity not in self.runs:
            return 404, {"error_message": f"run {asked.identity} not found"}
        run = self.runs[asked.identity]
        run["looks"] += 1
        if self.recordings:
            answer = self.recordings[min(run["looks"], len(self.recordings)) - 1]
            return 200, {**answer, "run_id": asked.identity}
        state = self.states[min(run["looks"], len(self.states)) - 1]
        shown = {key: value for key, value in run.items() if key != "looks"} | {"state": state}
        if state == "FAILED":
            shown["run_details"] = recorded("run_failed")["run_details"]
            self.logs.setdefault(FAILED_NODE, failed_step_log())
        return 200, shown

    def _terminate_run(self, asked: Asked) -> tuple[int, Object]:
        self.terminated.append(asked.identity)
        return 200, {}

    def _list_schedules(self, asked: Asked) -> tuple[int, Object]:
        return 200, {"recurringRuns": _matching(self.schedules, asked.query)}

    def _create_schedule(self, asked: Asked) -> tuple[int, Object]:
        number = self.calls["POST /recurringruns"]
        # As the back end: identifiers, and 64-bit numbers as text.
        own = {
            **asked.body,
            "recurring_run_id": f"schedule-{number}",
            "max_concurrency": str(asked.body["max_concurrency"]),
        }
        self.schedules.append(own)
        return 200, own

    def _delete_schedule(self, asked: Asked) -> tuple[int, Object]:
        self.schedules = [s for s in self.schedules if s["recurring_run_id"] != asked.identity]
        return 200, {}


_ROUTES = {
    "GET /healthz": "healthz",
    "GET /experiments": "list_experiments",
    "POST /experiments": "create_experiment",
    "GET /pipelines": "list_pipelines",
    "POST /pipelines/upload": "upload",
    "POST /pipelines/upload_version": "upload_version",
    "GET /pipelines/([^/]+)/versions": "list_versions",
    "POST /runs": "create_run",
    "GET /runs/([^/]+)": "get_run",
    "POST /runs/([^/]+):terminate": "terminate_run",
    "GET /recurringruns": "list_schedules",
    "POST /recurringruns": "create_schedule",
    "DELETE /recurringruns/([^/]+)": "delete_schedule",
}


def _matching(objects: list[Object], query: dict[str, str]) -> list[Object]:
    """The objects that the filter of a list call lets through."""
    predicates = json.loads(query["filter"])["predicates"] if query.get("filter") else []
    for predicate in predicates:
        assert predicate["operation"] in ("EQUALS", 1)
        key = {"name": "display_name"}.get(predicate["key"], predicate["key"])
        value = predicate.get("stringValue", predicate.get("string_value"))
        objects = [found for found in objects if found[key] == value]
    return objects


class _Handler(BaseHTTPRequestHandler):
    fake: Fake
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # else each response waits 40 ms for an acknowledgement

    def do_GET(self) -> None:
        self._serve("GET")

    def do_POST(self) -> None:
        self._serve("POST")

    def do_DELETE(self) -> None:
        self._serve("DELETE")

    def _serve(self, method: str) -> None:
        url = urlsplit(self.path)
        query = {key: values[0] for key, values in parse_qs(url.query).items()}
        content = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if self.fake.token and self.headers.get("Authorization") != f"Bearer {self.fake.token}":
            self._send(401, {"error_message": "no valid token"})
            return
        if self.headers.get("Content-Type", "").startswith("multipart/form-data"):
            body: Any = _uploaded(self.headers["Content-Type"], content)
        else:
            body = json.loads(content) if content else None
        log = re.fullmatch(r"/apis/v1alpha1/runs/[^/]+/nodes/([^/]+)/log", url.path)
        if log and method == "GET":
            self._send_log(log[1])
            return
        self._send(*self.fake.answer(method, url.path.removeprefix(PREFIX), query, body))

    def _send_log(self, node: str) -> None:
        self.fake.asked_logs.append(node)
        if node not in self.fake.logs:
            self._send(500, {"error_message": f"no pod {node}"})
            return
        data = self.fake.logs[node].encode()
        self.send_response(200)
        self.send_header("Content-Type", "text/plain")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def _send(self, status: int, content: Object) -> None:
        data = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_: object) -> None:
        """Log nothing: the tests look at the answers."""


def _uploaded(content_type: str, content: bytes) -> bytes:
    """The file in the form field `uploadfile`."""
    message = BytesParser().parsebytes(
        b"Content-Type: " + content_type.encode() + b"\r\n\r\n" + content
    )
    (part,) = [
        p
        for p in message.get_payload()
        if p.get_param("name", header="content-disposition") == "uploadfile"
    ]
    return part.get_payload(decode=True)
