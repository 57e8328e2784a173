"""A small Kubeflow Model Registry on loopback: real HTTP, ids, conflicts, scripted faults."""

from __future__ import annotations

import itertools
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit


class ModelRegistry:
    """The calls that the client makes.

    As in api/openapi/model-registry.yaml of kubeflow/model-registry.
    """

    def __init__(self, api: str) -> None:
        self.api, self.token, self.prefix = api, "", ""
        self.models: list[dict] = []
        self.versions: list[dict] = []
        self.artifacts: dict[str, list[dict]] = {}
        self.requests: list[tuple[str, str]] = []
        self.faults: dict[tuple[str, str], list[tuple[int, bytes]]] = {}
        """(method, last part of the path) -> responses to give before the right ones."""
        self.ids = itertools.count(1)
        registry = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True  # else each response waits 40 ms for an acknowledgement

            def answer(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                status, content = registry.handle(
                    self.command, self.path, self.headers.get("Authorization"), body
                )
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            do_GET = do_POST = answer

            def log_message(self, *_: object) -> None:
                """Log nothing."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"http://127.0.0.1:{self.server.server_port}"
        self.thread = threading.Thread(
            target=self.server.serve_forever, kwargs={"poll_interval": 0.01}
        )
        self.thread.start()

    def stop(self) -> None:
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()

    def handle(
        self, method: str, url: str, authorization: str | None, body: bytes
    ) -> tuple[int, bytes]:
        parts = urlsplit(url)
        root = f"{self.prefix}/api/model_registry/{self.api}/"
        path = parts.path.removeprefix(root)
        self.requests.append((method, path))
        if self.token and authorization != f"Bearer {self.token}":
            return 401, b'{"code": "", "message": "Unauthorized"}'
        if not parts.path.startswith(root):
            return 404, b"404 page not found"
        fault = self.faults.get((method, path.rpartition("/")[2]))
        if fault:
            return fault.pop(0)
        status, content = self.respond(
            method, path, {k: v[0] for k, v in parse_qs(parts.query).items()}, body
        )
        return status, json.dumps(content).encode()

    def respond(
        self, method: str, path: str, query: dict[str, str], body: bytes
    ) -> tuple[int, object]:
        content = json.loads(body) if body else {}
        match method, path.split("/"):
            case ["GET", ["registered_models"]]:
                return 200, {
                    "items": self.models,
                    "pageSize": 1,
                    "size": len(self.models),
                    "nextPageToken": "",
                }
            case ["GET", ["registered_model"]]:
                return self.found(m for m in self.models if m["name"] == query["name"])
            case ["POST", ["registered_models"]]:
                return self.made(self.models, content, ("name",))
            case ["GET", ["model_version"]]:
                wanted = (query["name"], query["parentResourceId"])
                return self.found(
                    v for v in self.versions if (v["name"], v["registeredModelId"]) == wanted
                )
            case ["POST", ["model_versions"]]:
                return self.made(self.versions, content, ("name", "registeredModelId"))
            case ["GET", ["model_versions", version, "artifacts"]]:
                return 200, {
                    "items": self.artifacts.get(version, []),
                    "size": 0,
                    "nextPageToken": "",
                }
            case ["POST", ["model_versions", version, "artifacts"]]:
                return self.made(self.artifacts.setdefault(version, []), content, ("name",))
        return 404, {"message": "no such path"}

    def found(self, matching) -> tuple[int, object]:
        first = next(matching, None)
        return (200, first) if first else (404, {"code": "", "message": "no entity found"})

    def made(self, where: list[dict], content: dict, key: tuple[str, ...]) -> tuple[int, object]:
        if any(all(there[k] == content[k] for k in key) for there in where):
            return 409, {"code": "", "message": "already exists"}
        where.append({**content, "id": str(next(self.ids))})
        return 201, where[-1]
