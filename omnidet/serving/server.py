"""The routes, and the process that serves them: KServe's Open Inference Protocol (v2), and `POST
/detect` for people.

    GET  /v2 · /v2/health/live · /v2/health/ready · /v2/models/NAME · /v2/models/NAME/ready
    POST /v2/models/NAME/infer   tensors `image` (base64) and `phrases`
                                 -> `images`, `boxes`, `scores`, `phrases`
    POST /detect                 JSON (image in base64), a form (`curl -F`), or the image itself
                                 with the rest in the query

A wrong request is answered with 4xx and `{"error": one line}`. Requests run in threads,
`concurrency` at a time; `max_waiting` more wait, and further ones get 503. Sockets, HTTP and forms
are handled by uvicorn, starlette and python-multipart: slow clients hold no thread, and a server
that is stopped finishes the requests that have begun.
"""

from __future__ import annotations

import asyncio
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
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

import omnidet
from omnidet.serving import answers, requests
from omnidet.serving.service import Service

STOP_SECONDS = 25
"""For requests that have begun when the server is stopped: less than the 30 seconds of Kubernetes.
"""
BODY_SECONDS = 60.0
"""A request that takes longer to arrive is given up."""
CLIENT_CLOSED = 499
"""nginx's status, for the log, of a request whose client went away."""

log = logging.getLogger("omnidet.server")


def application(service: Service) -> Starlette:
    """The routes. Every answer is JSON."""
    of_model = ("/v2/models/{name}", "/v2/models/{name}/versions/{version}")
    handle = _Handlers(service)
    routes = [
        Route("/v2", handle.about),
        Route("/v2/health/live", handle.live),
        Route("/v2/health/ready", handle.ready),
        *(Route(path, handle.metadata) for path in of_model),
        *(Route(f"{path}/ready", handle.model_ready) for path in of_model),
        *(Route(f"{path}/infer", handle.infer, methods=["POST"]) for path in of_model),
        Route("/detect", handle.detect, methods=["POST"]),
    ]
    errors: Mapping[Any, Any] = {HTTPException: _refused, ValueError: _wrong, Exception: _failed}
    app = Starlette(routes=routes, exception_handlers=errors)
    app.add_middleware(_RequestLog)
    return app


def run(service: Service) -> None:
    """Serve until SIGTERM or Ctrl-C. Raises ValueError if the address cannot be used."""
    with _listener(service.config.host, service.config.port) as listener:
        host = service.config.host
        host = f"[{host}]" if ":" in host else host
        address = f"http://{host}:{listener.getsockname()[1]}"
        print(f"{service.name} version {service.loaded.version} at {address}", flush=True)
        server = uvicorn.Server(
            uvicorn.Config(
                application(service),
                log_level="warning",
                access_log=False,
                server_header=False,
                lifespan="off",
                timeout_graceful_shutdown=STOP_SECONDS,
            )
        )
        # uvicorn finishes the requests, then raises the signal again for the handler that was there
        # before it. The default handler would end the process with an error.
        before = signal.signal(signal.SIGTERM, lambda *_: None)
        try:
            server.run(sockets=[listener])
        finally:
            signal.signal(signal.SIGTERM, before)


def _listener(host: str, port: int) -> socket.socket:
    """A socket that listens already, so that the address can be printed.

    Raises ValueError if it cannot.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
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

    def __init__(self, service: Service) -> None:
        self.service, self.limits = service, service.config.limits

    async def about(self, _: Request) -> Response:
        return JSONResponse({"name": "omnidet", "version": omnidet.__version__, "extensions": []})

    async def live(self, _: Request) -> Response:
        return JSONResponse({"live": True})

    async def ready(self, _: Request) -> Response:
        """Always: the server listens once the detector is loaded."""
        return JSONResponse({"ready": True})

    async def metadata(self, request: Request) -> Response:
        return JSONResponse(answers.metadata(self.service.name, self._version(request)))

    async def model_ready(self, request: Request) -> Response:
        self._version(request)
        return JSONResponse({"name": self.service.name, "ready": True})

    async def infer(self, request: Request) -> Response:
        self._version(request)
        with self.service.place():
            content = requests.json_object(await _body(request, self.limits.max_request_bytes))
            question = requests.from_tensors(content, self.limits)
            version, found = await self.service.answer(question)
        name = self.service.name
        return JSONResponse(answers.to_tensors(content, question, found, name, version))

    async def detect(self, request: Request) -> Response:
        with self.service.place():
            body = await _body(request, self.limits.max_request_bytes)
            kind = request.headers.get("content-type", "")
            question = await requests.read(kind, body, request.query_params, self.limits)
            version, (found,) = await self.service.answer(question)
        model = {"name": self.service.name, "version": version}
        return JSONResponse({"model": model, **answers.to_plain(found, question.phrases)})

    def _version(self, request: Request) -> str:
        """The version that answers.

        Raises HTTPException (404) if the path names another model or version.
        """
        name, version = request.path_params["name"], self.service.loaded.version
        asked = request.path_params.get("version", version)
        if (name, asked) != (self.service.name, version):
            raise HTTPException(
                404,
                f"no model {name!r}, version {asked}, here: "
                f"this is {self.service.name!r}, version {version}",
            )
        return version


async def _body(request: Request, most: int) -> bytes:
    """The request's body. Raises HTTPException if it is too large (413) or too slow (408)."""
    length = request.headers.get("content-length", "")
    parts, size = [], 0
    try:
        async with asyncio.timeout(BODY_SECONDS):
            if length.isdecimal() and int(length) > most:
                raise _too_large(most)
            async for part in request.stream():
                size += len(part)
                if size > most:
                    raise _too_large(most)
                parts.append(part)
    except TimeoutError:
        raise HTTPException(
            408, f"the request did not arrive within {BODY_SECONDS:.0f} seconds"
        ) from None
    return b"".join(parts)


def _too_large(most: int) -> HTTPException:
    # The rest of it is not read: the connection ends with the answer.
    return HTTPException(
        413,
        f"the request is larger than {most} bytes: send a smaller image",
        {"Connection": "close"},
    )


async def _refused(_: Request, error: HTTPException) -> Response:
    return JSONResponse({"error": error.detail}, error.status_code, error.headers)


async def _wrong(_: Request, error: ValueError) -> Response:
    return JSONResponse({"error": " ".join(str(error).split())}, 400)


async def _failed(_: Request, error: Exception) -> Response:
    return JSONResponse({"error": f"the server failed ({type(error).__name__}): see its log"}, 500)


class _RequestLog:
    """One line for each request but those of probes.

    What was asked for is private: no query is logged.
    """

    def __init__(self, app: Callable[..., Awaitable[None]]) -> None:
        self.app = app

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
        finally:
            if scope["type"] == "http" and "/health/" not in scope["path"]:
                seconds = time.monotonic() - started
                log.info("%s %s %d %.3f s", scope["method"], scope["path"], status, seconds)
