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

from omnidet.inference import pictures
from omnidet.inference.detector import OmniDet
from omnidet.inference.question import checked_phrases
from omnidet.serving import answers, requests
from omnidet.serving.bodies import Bodies
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
        limits = service.config.limits
        async with bodies.held(request, limits.max_request_bytes) as body:
            with service.place():
                work = functools.partial(_explained, service.loaded.detector, body, limits)
                content = await service.work(work)
        return Response(answers.to_json(content), media_type="application/json")

    return explain


def _explained(detector: OmniDet, body: bytes, limits: Any) -> dict[str, Any]:
    """Why a phrase has its score on a box. Raises ValueError for a wrong request."""
    content = requests.json_object(body, limits)
    picture = pictures.read(requests.picture(content.get("image"), "image"), "the image")
    phrases = checked_phrases([content.get("phrase", "")])
    box = content.get("box")
    if not isinstance(box, list) or len(box) != 4:
        raise ValueError("box must be four numbers: x0, y0, x1, y1 in pixels")
    (why,) = detector.explain(picture, phrases, box)
    return why.to_dict()
