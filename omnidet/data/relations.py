"""Spatial relations in phrases: "star left of circle" is about a star, and mentions a circle."""

from __future__ import annotations

import re

from omnidet.data.wording import plain

_LONG_SIDES = tuple(f"{s}{hand} side" for s in ("left", "right") for hand in ("", " hand"))
_AT = (*(f"{at} {the}" for at in ("to", "on", "at") for the in ("the ", "")), "")
RELATIONS = (
    *(
        f"{at}{side} of"
        for at in _AT
        for side in ("left", "right", "front", "back", "side", *_LONG_SIDES)
    ),
    *(
        f"{at}{side} {of}"
        for at in _AT
        for side in ("left", "right", *_LONG_SIDES)
        for of in ("from", "to")
    ),
    *("in front of", "on top of", "next to", "close to", "away from", "in between", "in back of"),
    *("above", "below", "under", "underneath", "beneath", "over", "behind", "beside", "near"),
    *("by", "on", "at", "against"),
    *("between", "among", "across", "along", "around", "facing", "towards", "toward", "past"),
)
"""Words after which a phrase speaks of something outside the region. "with", "in", "wearing" and
"holding" are not among them: what a person wears is inside the person's box."""

SIDES = ("left of", "right of", "above", "below")
"""Those that boxes decide."""
Point = tuple[float, float]

_ACROSS = "left to right|right to left"
"""No relation, though "star left to ring" is one."""
_RELATION = re.compile(
    rf"(?<=\S)\s+(?!(?:{_ACROSS})\b)(?:"
    + "|".join(sorted(RELATIONS, key=len, reverse=True))
    + r")(?=\s|$)"
)


def split_relation(phrase: str) -> tuple[str, str]:
    """The words up to and with the first relation, and the rest: "star left of", " circle".

    In plain words: without capitals and punctuation.
    """
    text = plain(phrase)
    found = _RELATION.search(text)
    return (text, "") if found is None else (text[: found.end()], text[found.end() :])


def landmark(phrase: str) -> str:
    """What the thing is relative to: "circle" of "star left of circle"; empty if there is none."""
    rest = split_relation(phrase)[1].strip()
    found = _RELATION.search(rest)
    return rest if found is None else rest[: found.start()]


def is_relational(phrase: str) -> bool:
    """Whether the phrase says where the thing is relative to another one."""
    return bool(split_relation(phrase)[1].strip())


def offset(centre: Point, landmark: Point, side: str) -> Point:
    """Distance of a centre from the landmark's along one of `SIDES` and across it, in pixels."""
    x, y = landmark[0] - centre[0], landmark[1] - centre[1]
    return {
        "left of": (x, abs(y)),
        "right of": (-x, abs(y)),
        "above": (y, abs(x)),
        "below": (-y, abs(x)),
    }[side]
