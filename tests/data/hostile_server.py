"""A real HTTP server for tests that serves bytes with ranges and misbehaves on request."""

from __future__ import annotations

import dataclasses
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

Fault = Callable[["Handler", bytes, int], bool]
"""Answers a request instead of the server, or returns False.

Gets (handler, content, first byte).
"""


@dataclasses.dataclass
class Site:
    """What the server holds, and which requests it got."""

    port: int
    files: dict[str, bytes] = dataclasses.field(default_factory=dict)
    etags: dict[str, str] = dataclasses.field(default_factory=dict)
    faults: dict[str, list[Fault]] = dataclasses.field(default_factory=dict)
    """For each path, one fault per request; after the last one, the server works."""
    asked: list[tuple[str, dict[str, str]]] = dataclasses.field(default_factory=list)
    sent: int = 0
    """Bytes of content sent."""
    delay_seconds: float = 0.0
    """Pause before each 16 kB."""
    ranges: bool = True

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self.port}/{path}"

    def requests(self, path: str) -> list[dict[str, str]]:
        return [headers for asked, headers in self.asked if asked == path]


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    site: Site

    def do_GET(self) -> None:
        path = self.path.lstrip("/")
        self.site.asked.append((path, dict(self.headers.items())))
        content = self.site.files.get(path)
        if content is None:
            self.answer(404, b"nothing")
            return
        begin = self.begin(path)
        faults = self.site.faults.get(path, [])
        if faults and faults.pop(0)(self, content, begin):
            return
        if begin >= len(content) > 0:
            self.answer(416, b"", {"Content-Range": f"bytes */{len(content)}"})
            return
        headers = {"ETag": self.site.etags[path]} if path in self.site.etags else {}
        if begin:
            headers["Content-Range"] = f"bytes {begin}-{len(content) - 1}/{len(content)}"
        self.answer(206 if begin else 200, content[begin:], headers)

    def begin(self, path: str) -> int:
        """The first byte requested, or 0 if the whole file is sent."""
        asked = self.headers.get("Range", "")
        condition = self.headers.get("If-Range")
        if (
            not asked
            or not self.site.ranges
            or (condition and condition != self.site.etags.get(path))
        ):
            return 0
        return int(asked.removeprefix("bytes=").rstrip("-"))

    def answer(
        self,
        status: int,
        content: bytes,
        headers: dict[str, str] | None = None,
        length: int | None = None,
    ) -> None:
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content) if length is None else length))
        self.end_headers()
        for i in range(0, len(content), 1 << 14):
            time.sleep(self.site.delay_seconds)
            self.wfile.write(content[i : i + (1 << 14)])
            self.site.sent += len(content[i : i + (1 << 14)])
        if length is not None and length != len(content):
            self.drop()

    def drop(self) -> None:
        self.close_connection = True
        self.wfile.flush()
        self.connection.shutdown(socket.SHUT_RDWR)

    def log_message(self, *_: object) -> None:
        pass


class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def handle_error(self, *_: object) -> None:
        """Clients that disconnect are part of the tests."""


@contextmanager
def hostile_server() -> Iterator[Site]:
    handler = type("OwnHandler", (Handler,), {})
    server = Server(("127.0.0.1", 0), handler)
    handler.site = Site(server.server_port)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield handler.site
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def status(code: int, **headers: str) -> Fault:
    def fault(handler: Handler, content: bytes, begin: int) -> bool:
        body = (
            b"" if code == 204 else b"busy"
        )  # a body after a 204 would be read as the next response
        handler.answer(
            code, body, {name.replace("_", "-"): value for name, value in headers.items()}
        )
        return True

    return fault


def drops_after(count: int) -> Fault:
    """Announces the whole file, sends a part and disconnects."""

    def fault(handler: Handler, content: bytes, begin: int) -> bool:
        path = handler.path.lstrip("/")
        headers = {"ETag": handler.site.etags[path]} if path in handler.site.etags else {}
        if begin:
            headers["Content-Range"] = f"bytes {begin}-{len(content) - 1}/{len(content)}"
        handler.answer(
            206 if begin else 200,
            content[begin : begin + count],
            headers,
            length=len(content) - begin,
        )
        return True

    return fault


def stalls_after(count: int, seconds: float) -> Fault:
    def fault(handler: Handler, content: bytes, begin: int) -> bool:
        handler.send_response(206 if begin else 200)
        if begin:
            handler.send_header("Content-Range", f"bytes {begin}-{len(content) - 1}/{len(content)}")
        handler.send_header("Content-Length", str(len(content) - begin))
        handler.end_headers()
        handler.wfile.write(content[begin : begin + count])
        handler.wfile.flush()
        time.sleep(seconds)
        handler.drop()
        return True

    return fault


def trickles(seconds: float) -> Fault:
    """Sends a byte now and then: never a time-out, never an end."""

    def fault(handler: Handler, content: bytes, begin: int) -> bool:
        handler.send_response(200)
        handler.send_header("Content-Length", str(len(content)))
        handler.end_headers()
        for i in range(len(content)):
            handler.wfile.write(content[i : i + 1])
            time.sleep(seconds)
        return True

    return fault


def truncates(count: int) -> Fault:
    """Announces and sends a part as if it were the whole file."""

    def fault(handler: Handler, content: bytes, begin: int) -> bool:
        handler.answer(200, content[:count])
        return True

    return fault


def ignores_range_offset(shift: int) -> Fault:
    """Answers 206 with other bytes than requested."""

    def fault(handler: Handler, content: bytes, begin: int) -> bool:
        start = begin + shift
        headers = {"Content-Range": f"bytes {start}-{len(content) - 1}/{len(content)}"}
        handler.answer(206, content[start:], headers)
        return True

    return fault
