"""The routes, and the process that serves them: KServe's Open Inference Protocol (v2), and `POST
/detect` for people.

    GET  /v2 · /v2/health/live · /v2/health/ready · /v2/models/NAME · /v2/models/NAME/ready
    POST /v2/models/NAME/infer   tensors `image` and `phrases`, in JSON or binary
                                 -> `images`, `boxes`, `scores`, `phrases`
    POST /detect                 JSON (image in base64), a form (`curl -F`), or the image itself
                                 with the rest in the query
    GET  /metrics                counters for Prometheus

A wrong request is answered with 4xx and `{"error": one line}`. A body is read first, which costs
memory alone (`bodies.py`); then the request takes a place, is parsed and its pictures are decoded
in threads (`service.py`), and they go through the detector with others (`batching.py`).
`concurrency` requests are prepared at a time; `max_waiting` more wait, and further ones get 503.
"""

from __future__ import annotations

import functools
import logging
import signal
import socket
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

import omnidet
from omnidet.serving import answers, metrics, requests, tensors
from omnidet.serving.bodies import Bodies
from omnidet.serving.config import Patience
from omnidet.serving.connections import Connection, Idle
from omnidet.serving.service import Loaded, Service

STOP_SECONDS = Patience().stop_seconds
"""For requests that have begun when the server is stopped."""
CLIENT_CLOSED = 499
"""nginx's status, for the log, of a request whose client went away."""

log = logging.getLogger("omnidet.server")


MoreRoutes = Callable[[Bodies], list[BaseRoute]]
"""Makes routes that read bodies under the server's budget."""


def application(
    service: Service, bodies: Bodies | None = None, more: MoreRoutes | None = None
) -> Starlette:
    """The routes. Every answer but that of `/metrics` is JSON, or begins with it."""
    bodies = bodies or Bodies(service.config.patience)
    of_model = ("/v2/models/{name}", "/v2/models/{name}/versions/{version}")
    handle = _Handlers(service, bodies)
    routes: list[BaseRoute] = [
        Route("/v2", handle.about),
        Route("/v2/health/live", handle.live),
        Route("/v2/health/ready", handle.ready),
        *(Route(path, handle.metadata) for path in of_model),
        *(Route(f"{path}/ready", handle.model_ready) for path in of_model),
        *(Route(f"{path}/infer", handle.infer, methods=["POST"]) for path in of_model),
        Route("/detect", handle.detect, methods=["POST"]),
        Route("/metrics", handle.metrics),
        *(more(bodies) if more else ()),
    ]
    errors: Mapping[Any, Any] = {HTTPException: _refused, ValueError: _wrong, Exception: _failed}
    app = Starlette(routes=routes, exception_handlers=errors)
    app.router.redirect_slashes = False
    app.add_middleware(_RequestLog, metrics=service.metrics)
    return app


class Server(uvicorn.Server):
    """The server of a service."""

    def __init__(self, service: Service, more: MoreRoutes | None = None) -> None:
        """`more` makes further routes, such as those of the page."""
        patience = service.config.patience
        self._bodies = Bodies(patience)
        protocol: Any = functools.partial(Connection, patience=patience, idle=Idle())
        super().__init__(
            uvicorn.Config(
                application(service, self._bodies, more),
                http=protocol,
                ws="none",
                log_level="critical",
                access_log=False,
                server_header=False,
                lifespan="off",
                timeout_keep_alive=int(patience.keep_alive_seconds),
                timeout_graceful_shutdown=int(patience.stop_seconds),
            )
        )

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Finish what has begun."""
        self._bodies.stop()
        await super().shutdown(sockets)


def run(service: Service, more: MoreRoutes | None = None) -> None:
    """Serve until SIGTERM or Ctrl-C. Raises ValueError if the address cannot be used."""
    with listening(service.config.host, service.config.port) as listener:
        host = service.config.host
        host = f"[{host}]" if ":" in host else host
        address = f"http://{host}:{listener.getsockname()[1]}"
        print(f"{service.name} version {service.loaded.version} at {address}", flush=True)
        # uvicorn finishes the requests, then raises the signal again for the handler that was there
        # before it. The default handler would end the process with an error.
        before = signal.signal(signal.SIGTERM, lambda *_: None)
        try:
            Server(service, more).run(sockets=[listener])
        finally:
            signal.signal(signal.SIGTERM, before)


def listening(host: str, port: int) -> socket.socket:
    """A socket that listens already, so that the address can be printed.

    Raises ValueError if it cannot.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    # asyncio sets it only for sockets whose protocol was given. Without it each answer on a
    # connection that stays open waits 40 ms for an acknowledgement of its header.
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(2048)
    except OSError as error:
        listener.close()
        reason = error.strerror or str(error)
        raise ValueError(
            f"{host}:{port} cannot be used ({reason}): give another --host or --port"
        ) from error
    return listener


class _Handlers:
    """One method for each route."""

    def __init__(self, service: Service, bodies: Bodies) -> None:
        self.service, self.bodies, self.limits = service, bodies, service.config.limits

    async def about(self, _: Request) -> Response:
        extensions = ["binary_tensor_data"]
        return _json({"name": "omnidet", "version": omnidet.__version__, "extensions": extensions})

    async def live(self, _: Request) -> Response:
        return _json({"live": True})

    async def ready(self, _: Request) -> Response:
        """Always: the server listens once the detector is loaded."""
        return _json({"ready": True})

    async def metadata(self, request: Request) -> Response:
        loaded = self._loaded(request)
        return _json(answers.metadata(self.service.name, loaded.version))

    async def model_ready(self, request: Request) -> Response:
        self._loaded(request)
        return _json({"name": self.service.name, "ready": True})

    async def metrics(self, _: Request) -> Response:
        return Response(self.service.metrics.text(), headers={"Content-Type": metrics.CONTENT_TYPE})

    async def infer(self, request: Request) -> Response:
        loaded = self._loaded(request)  # this version answers, whatever is promoted meanwhile
        if request.scope["query_string"]:
            raise ValueError("a query is not read here: put it into the body, as parameters")
        kind = request.headers.get("content-type", "application/json")
        kind = kind.partition(";")[0].strip().lower()
        header = request.headers.get(tensors.HEADER)
        # Other names for JSON are borne: curl and urllib call any body a form.
        if kind == _BINARY and header is None:
            raise HTTPException(
                415,
                f"content type {kind!r} is not supported without {tensors.HEADER}: send it, or "
                "application/json",
            )
        async with self.bodies.held(request, self.limits.max_request_bytes) as body:
            with self.service.place():
                read = functools.partial(tensors.read, body, header, self.limits)
                question, wanted = await self.service.work(read)
                question = loaded.asked(question)
                found = await self.service.answer(question, loaded)
        body, length = answers.to_tensors(
            wanted,
            question,
            found,
            self.service.name,
            loaded.version,
            loaded.doubts(question.phrases),
        )
        if length is None:
            return Response(body, media_type="application/json")
        return Response(body, headers={tensors.HEADER: str(length)}, media_type=_BINARY)

    async def detect(self, request: Request) -> Response:
        loaded = self.service.loaded
        kind, query = request.headers.get("content-type", ""), request.scope["query_string"]
        async with self.bodies.held(request, self.limits.max_request_bytes) as body:
            with self.service.place():
                read = functools.partial(requests.read, kind, body, query, self.limits)
                question = loaded.asked(await self.service.work(read))
                (found,) = await self.service.answer(question, loaded)
        model = {"name": self.service.name, "version": loaded.version}
        plain = answers.to_plain(found, question.phrases, loaded.doubts(question.phrases))
        return _json({"model": model, **plain})

    def _loaded(self, request: Request) -> Loaded:
        """The version that answers.

        Raises HTTPException (404) if the path names another model or version.
        """
        name, loaded = request.path_params["name"], self.service.loaded
        asked = request.path_params.get("version", loaded.version)
        if (name, asked) != (self.service.name, loaded.version):
            raise HTTPException(
                404,
                f"no model {name!r:.80}, version {asked!r:.40}, here: "
                f"this is {self.service.name!r}, version {loaded.version}",
            )
        return loaded


_BINARY = "application/octet-stream"


def _json(content: Any, status: int = 200) -> Response:
    return Response(answers.to_json(content), status, media_type="application/json")


async def _refused(_: Request, error: HTTPException) -> Response:
    body = answers.error(error.detail)
    return Response(body, error.status_code, error.headers, media_type="application/json")


async def _wrong(_: Request, error: ValueError) -> Response:
    return Response(answers.error(str(error)), 400, media_type="application/json")


async def _failed(_: Request, error: Exception) -> Response:
    message = f"the server failed ({type(error).__name__}): see its log"
    return Response(answers.error(message), 500, media_type="application/json")


class _RequestLog:
    """One line for each request but those of probes, and the counters of `/metrics`.

    What was asked for is private: no query is logged. A path is logged as it was sent, in percent
    signs, so that it cannot begin a line of its own.
    """

    def __init__(self, app: Callable[..., Awaitable[None]], metrics: metrics.Metrics) -> None:
        self.app, self.metrics = app, metrics

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        started, status = time.monotonic(), 500

        async def watched(message: Any) -> None:
            nonlocal status
            status = message.get("status", status)
            await send(message)

        try:
            await self.app(scope, receive, watched)
        except ClientDisconnect:
            status = CLIENT_CLOSED
        except Exception:
            log.exception("a fault of the server")
            raise
        finally:
            seconds = time.monotonic() - started
            self.metrics.answered(_route(scope), status, seconds)
            if "/health/" not in scope["path"] and scope["path"] != "/metrics":
                path = scope["raw_path"].decode("ascii", "backslashreplace")[:_SHOWN_OF_A_PATH]
                log.info("%s %s %d %.3f s", scope["method"][:20], path, status, seconds)


_SHOWN_OF_A_PATH = 200


def _route(scope: Any) -> str:
    """The pattern that a path belongs to."""
    endpoint = scope.get("endpoint")
    return getattr(endpoint, "__name__", "none")
