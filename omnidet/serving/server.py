"""A detector over HTTP: KServe's Open Inference Protocol (v2), and `POST /detect` for people.

    GET  /v2 · /v2/health/live · /v2/health/ready · /v2/models/NAME · /v2/models/NAME/ready
    POST /v2/models/NAME/infer   tensors `image` (base64) and `phrases` -> `images`, `boxes`, `scores`, `phrases`
    POST /detect                 JSON (image in base64), a form (`curl -F`), or the image itself with the rest in the query

What a request asks wrongly is answered with 4xx and `{"error": one line}`. Requests run in threads, `concurrency` at a time;
`max_waiting` more wait, and the next ones get 503. Sockets, HTTP and forms are uvicorn's, starlette's and python-multipart's:
slow clients hold no thread, and a stop lets the requests finish that have begun. What the bodies hold is read in `protocol.py`.
"""

from __future__ import annotations

import asyncio
import logging
import signal
import socket
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import anyio
import uvicorn
from anyio import to_thread
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

import omnidet
from omnidet.inference import detector as inference
from omnidet.inference.detector import OmniDet, Prompt
from omnidet.serving import requests as protocol
from omnidet.serving.requests import Found, Limits, Question

STOP_SECONDS = 25
"""What requests that have begun get when the server is stopped: less than the 30 seconds of Kubernetes."""
BODY_SECONDS = 60.0
"""A request that takes longer to arrive is given up."""
PROMPTS_KEPT = 64
"""Lists of words that are kept encoded."""

log = logging.getLogger("omnidet.server")


@dataclass(frozen=True)
class ServerConfig:
    """How a server serves.

    Attributes:
        concurrency: detections at the same time. Two let one request's picture be decoded while another's is looked at.
        max_waiting: requests beyond those that wait, with their bodies in memory; the next one is told to come again.
    """

    host: str = "127.0.0.1"
    port: int = 8080
    concurrency: int = 2
    max_waiting: int = 32
    limits: Limits = field(default_factory=Limits)

    def __post_init__(self) -> None:
        if not 0 <= self.port < 65536:
            raise ValueError(
                f"port {self.port}: give one from 1 to 65535, or 0 for any that is free"
            )
        if self.concurrency < 1 or self.max_waiting < 0:
            raise ValueError(
                f"concurrency {self.concurrency}, max_waiting {self.max_waiting}: 1 and 0 are the least"
            )


@dataclass(frozen=True)
class Loaded:
    """A version of the model in memory."""

    detector: OmniDet
    version: str
    prompt: Callable[[tuple[str, ...]], Prompt]
    """Its `prompt`, which keeps what it encoded last."""


class Service:
    """The detector, asked by many at once."""

    def __init__(self, detector: OmniDet, name: str, version: str, config: ServerConfig) -> None:
        self.name, self.config = name, config
        self.use(detector, version)
        self._threads = anyio.CapacityLimiter(config.concurrency)
        self._under_way = 0

    def use(self, detector: OmniDet, version: str) -> None:
        """Answer with this version from now on; requests that have begun end with the one before."""
        self.loaded = Loaded(detector, version, lru_cache(PROMPTS_KEPT)(detector.prompt))

    @contextmanager
    def place(self) -> Iterator[None]:
        """Room for one request. Raises HTTPException (503) where there is none."""
        if self._under_way >= self.config.concurrency + self.config.max_waiting:
            raise HTTPException(503, "too many requests at once: try again", {"Retry-After": "1"})
        self._under_way += 1
        try:
            yield
        finally:
            self._under_way -= 1

    async def answer(self, question: Question) -> tuple[str, Found]:
        """The version that answers, and what it found in each image. Raises ValueError for an image or phrase that is none."""
        return await to_thread.run_sync(self._detect, question, limiter=self._threads)

    def _detect(self, question: Question) -> tuple[str, Found]:
        loaded = self.loaded
        found = []
        for number, given in enumerate(
            question.images
        ):  # one by one: many images take no more memory than one
            inference.image_size(
                given, "the image" if len(question.images) == 1 else f"image {number}", whole=True
            )
            image = inference.upright(given)
            prompt = loaded.prompt(question.phrases)
            detections = loaded.detector.detect(
                [image], prompt, question.max_detections, question.threshold
            )[0]
            found.append((detections, inference.image_size(image)))
        return loaded.version, found


def application(service: Service) -> Starlette:
    """The routes. Every answer is JSON."""
    limits = service.config.limits

    def version_of(request: Request) -> str:
        name, version = request.path_params["name"], service.loaded.version
        asked = request.path_params.get("version", version)
        if (name, asked) != (service.name, version):
            raise HTTPException(
                404,
                f"no model {name!r}, version {asked}, here: this is {service.name!r}, version {version}",
            )
        return version

    async def about(_: Request) -> Response:
        return JSONResponse({"name": "omnidet", "version": omnidet.__version__, "extensions": []})

    async def live(_: Request) -> Response:
        return JSONResponse({"live": True})

    async def ready(_: Request) -> Response:  # the server listens once the detector is loaded
        return JSONResponse({"ready": True})

    async def metadata(request: Request) -> Response:
        return JSONResponse(protocol.metadata(service.name, version_of(request)))

    async def model_ready(request: Request) -> Response:
        version_of(request)
        return JSONResponse({"name": service.name, "ready": True})

    async def infer(request: Request) -> Response:
        version_of(request)
        with service.place():
            content = protocol.json_object(await _body(request, limits.max_request_bytes))
            question = protocol.from_tensors(content, limits)
            version, found = await service.answer(question)
        return JSONResponse(protocol.to_tensors(content, question, found, service.name, version))

    async def detect(request: Request) -> Response:
        with service.place():
            body = await _body(request, limits.max_request_bytes)
            question = await protocol.read(
                request.headers.get("content-type", ""), body, request.query_params, limits
            )
            version, ((found, size),) = await service.answer(question)
        model = {"name": service.name, "version": version}
        return JSONResponse({"model": model, **protocol.to_plain(found, size, question.phrases)})

    models = "/v2/models/{name}", "/v2/models/{name}/versions/{version}"
    routes = [
        Route("/v2", about),
        Route("/v2/health/live", live),
        Route("/v2/health/ready", ready),
        *(Route(path, metadata) for path in models),
        *(Route(f"{path}/ready", model_ready) for path in models),
        *(Route(f"{path}/infer", infer, methods=["POST"]) for path in models),
        Route("/detect", detect, methods=["POST"]),
    ]
    handlers: Mapping[Any, Any] = {HTTPException: _refused, ValueError: _wrong, Exception: _failed}
    app = Starlette(routes=routes, exception_handlers=handlers)
    app.add_middleware(_Logged)
    return app


def run(service: Service) -> None:
    """Serve until SIGTERM or an interrupt. Raises ValueError where the port cannot be had."""
    config = service.config
    family = socket.AF_INET6 if ":" in config.host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((config.host, config.port))
            listener.listen(2048)  # now, for the address is told next
        except OSError as error:
            reason = error.strerror or str(error)
            raise ValueError(
                f"{config.host}:{config.port} cannot be had ({reason}): give another --host or --port"
            ) from error
        host = f"[{config.host}]" if ":" in config.host else config.host
        print(
            f"{service.name} version {service.loaded.version} at http://{host}:{listener.getsockname()[1]}",
            flush=True,
        )
        server = uvicorn.Server(
            uvicorn.Config(
                application(service), log_level="warning", access_log=False, server_header=False, lifespan="off",
                timeout_graceful_shutdown=STOP_SECONDS,
            )
        )  # fmt: skip
        # uvicorn ends the requests and then raises the signal once more, for whoever was there before it: nobody.
        before = signal.signal(signal.SIGTERM, lambda *_: None)
        try:
            server.run(sockets=[listener])
        finally:
            signal.signal(signal.SIGTERM, before)


async def _body(request: Request, most: int) -> bytes:
    """The request's body. Raises HTTPException for one that is too large (413) or too slow (408)."""
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
    # What is still to come of it is not read: the connection ends with the answer.
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


class _Logged:
    """One line in the log for each request but those of probes: what was asked for is nobody's business, so no query."""

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
            status = 499  # as nginx says it
        finally:
            if scope["type"] == "http" and "/health/" not in scope["path"]:
                seconds = time.monotonic() - started
                log.info("%s %s %d %.3f s", scope["method"], scope["path"], status, seconds)
