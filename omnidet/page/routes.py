"""The page, and what it asks besides `POST /detect`: which versions there are, and why a score.

GET  /                the page
GET  /page/versions   the name, and the versions that may be compared, each with its threshold
POST /page/explain    {"image": base64, "phrase", "box"} -> each token's weight and logit; of the
                      version that is compared: /other/page/explain
"""

from __future__ import annotations

import functools
from collections.abc import Awaitable, Callable, Sequence
from importlib import resources
from typing import Any

from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import BaseRoute, Mount, Route

from omnidet.inference.choice import checked_box
from omnidet.serving import answers, requests
from omnidet.serving.bodies import Bodies
from omnidet.serving.config import Limits
from omnidet.serving.server import application
from omnidet.serving.service import Service

OTHER = "/other"
"""Where the version is that is compared."""
_POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; "
    "img-src blob: data:; connect-src 'self'"
)
"""For browsers: the page loads nothing from anywhere else."""


def routes(services: Sequence[Service], bodies: Bodies) -> list[BaseRoute]:
    """The page's routes, for one service or for two that are compared."""
    places = ["", *[OTHER for _ in services[1:]]]

    async def page(_: Request) -> Response:
        text = resources.files("omnidet.page").joinpath("page.html").read_text(encoding="utf-8")
        return HTMLResponse(text, headers={"Content-Security-Policy": _POLICY})

    async def versions(_: Request) -> Response:
        about = [
            {
                "path": place,
                "name": service.name,
                "version": service.loaded.version,
                "threshold": service.loaded.detector.threshold,
            }
            for place, service in zip(places, services, strict=True)
        ]
        return Response(answers.to_json({"versions": about}), media_type="application/json")

    own: list[BaseRoute] = [Route("/", page), Route("/page/versions", versions)]
    own += [
        Route(f"{place}/page/explain", _explaining(service, bodies), methods=["POST"])
        for place, service in zip(places, services, strict=True)
    ]
    return [*own, *(Mount(OTHER, application(service, bodies)) for service in services[1:])]


def _explaining(service: Service, bodies: Bodies) -> Callable[[Request], Awaitable[Response]]:
    """The endpoint that explains what this service finds."""

    async def explain(request: Request) -> Response:
        loaded, limits = service.loaded, service.config.limits
        if request.scope["query_string"]:
            raise ValueError("a query is for a picture as it is: put it into the body")
        async with bodies.held(request, limits.max_request_bytes) as body:
            with service.place():
                read = functools.partial(_question, body, limits)
                image, phrase, box = await service.work(read)
                why = await service.explain(image, phrase, box, loaded)
        return Response(answers.to_json(why.to_dict()), media_type="application/json")

    return explain


def _question(body: bytes, limits: Limits) -> tuple[bytes, str, list[float]]:
    """Picture, phrase and box. Raises ValueError for a wrong request."""
    content = requests.json_object(body, limits)
    requests.require_known(content, ("image", "phrase", "box"))
    (phrase,) = requests.phrases([content.get("phrase")], limits)
    box: Any = content.get("box")
    checked_box(box)
    return requests.picture(content.get("image"), "image"), phrase, box
