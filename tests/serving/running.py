"""A real server on the loopback interface, and ways to speak to it."""

from __future__ import annotations

import base64
import contextlib
import functools
import http.client
import json
import socket
import threading
import time
from collections.abc import Iterator
from typing import Any

from omnidet.inference.detector import OmniDet
from omnidet.page.routes import routes
from omnidet.serving.config import ServerConfig
from omnidet.serving.server import Server
from omnidet.serving.service import Service
from tests import toys

PICTURE = toys.png(90, 30, [(5, 5, 20, 20)])


def toy() -> OmniDet:
    return OmniDet(toys.toy_detector(), toys.toy_vocabulary(), {})


@contextlib.contextmanager
def serving(
    detector: OmniDet, *, page: bool = False, **config: Any
) -> Iterator[tuple[Service, int]]:
    """The service and its port. `page`: with the routes of the page."""
    service = Service(detector, "toy", "3", ServerConfig(port=0, **config))
    listener = socket.create_server(("127.0.0.1", 0))
    running = Server(service, functools.partial(routes, [service]) if page else None)
    thread = threading.Thread(target=running.run, args=([listener],))
    thread.start()
    try:
        while not running.started:
            time.sleep(0.01)
        yield service, listener.getsockname()[1]
    finally:
        running.should_exit = True
        thread.join()
        listener.close()


def ask(
    port: int, method: str, path: str, body: Any = None, **headers: str
) -> tuple[int, dict[str, Any]]:
    """Status and content of an answer."""
    with contextlib.closing(
        http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    ) as connection:
        if isinstance(body, dict):
            body, headers = (
                json.dumps(body).encode(),
                {"Content-Type": "application/json", **headers},
            )
        connection.request(method, path, body, headers)
        answer = connection.getresponse()
        content = json.loads(answer.read())
        if answer.status >= 400:
            assert set(content) == {"error"}
            assert content["error"].isprintable()
        return answer.status, content


def question(*phrases: str, image: bytes = PICTURE, **more: Any) -> dict[str, Any]:
    """A request to `/detect`."""
    return {
        "image": base64.b64encode(image).decode(),
        "phrases": list(phrases),
        "threshold": 0,
        **more,
    }


def raw(port: int, content: bytes, seconds: float = 30) -> bytes:
    """All that the server sends back until it closes the connection."""
    with socket.create_connection(("127.0.0.1", port), timeout=seconds) as connection:
        connection.sendall(content)
        return until_closed(connection)


def until_closed(connection: socket.socket) -> bytes:
    """All that still comes."""
    received = b""
    with contextlib.suppress(ConnectionResetError):
        while part := connection.recv(1 << 16):
            received += part
    return received
