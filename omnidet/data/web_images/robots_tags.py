"""`X-Robots-Tag` headers: whether the owner of a picture allows its use."""

from __future__ import annotations

ROBOT = "omnidet"
_WITH_VALUE = ("unavailable_after", "max-snippet", "max-image-preview", "max-video-preview")
"""Directives that contain a colon themselves."""


def forbidden(tags: list[str], directives: tuple[str, ...]) -> str:
    """The first of the directives that a header states for this program, or "".

    A header is a list of directives. The name of a robot in it limits those that follow to it.
    """
    for tag in tags:
        for_us = True
        for part in tag.lower().split(","):
            robot, colon, rest = part.strip().partition(":")
            if colon and robot.strip() not in _WITH_VALUE:
                for_us = robot.strip() in ("*", ROBOT)
                part = rest
            if for_us and part.strip() in directives:
                return part.strip()
    return ""
