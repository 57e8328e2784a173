"""What a request to the server asks, as plain data: no sockets here. `tensors.py` has that of the
Open Inference Protocol.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from starlette.exceptions import HTTPException

from omnidet.counted import counted
from omnidet.inference import question
from omnidet.inference.defaults import MAX_DETECTIONS
from omnidet.serving import fields, strict_json
from omnidet.serving.config import Limits

SETTINGS = ("threshold", "max_detections", "no_overlaps")
"""Fields of a request besides pictures and phrases."""
_OTHER_TEXTS = 400
"""In a JSON body: names, datatypes, an id, pictures."""
_SPACES = str.maketrans("", "", " \t\r\n")


@dataclass(frozen=True)
class Question:
    """A request that was understood."""

    images: tuple[bytes, ...]
    phrases: tuple[str, ...]
    """Empty for the detector's own names."""
    threshold: float | None
    """None for the detector's own."""
    max_detections: int
    no_overlaps: bool = False


def read(content_type: str, body: bytes, query: bytes, limits: Limits) -> Question:
    """The question of `POST /detect`.

    Raises ValueError for a wrong one, and HTTPException (415) for a content type that is not
    supported.
    """
    kind = content_type.partition(";")[0].strip().lower()
    is_image = kind.startswith("image/") or kind == "application/octet-stream"
    if not is_image and kind not in ("application/json", "multipart/form-data"):
        raise HTTPException(
            415,
            f"content type {kind or 'unknown'!r} is not supported: "
            "send application/json, multipart/form-data or image/...",
        )
    if is_image:
        return checked([body], fields.of_query(query, limits), limits)
    if query:
        raise ValueError(f"a query is for a picture as it is: with {kind} put it into the body")
    if kind == "multipart/form-data":
        image, given = fields.of_form(content_type.encode("latin-1"), body, limits)
        return checked([image], given, limits)
    content = json_object(body, limits)
    return checked([picture(content.pop("image", None), "image")], content, limits)


def json_object(body: bytes, limits: Limits) -> dict[str, Any]:
    """The body as a JSON object. Raises ValueError."""
    return strict_json.loads(body, limits.max_phrases + limits.max_images + _OTHER_TEXTS)


def checked(images: list[bytes], given: Mapping[str, Any], limits: Limits) -> Question:
    """The question of pictures and fields. Raises ValueError for what is unknown or too much."""
    require_known({"image": None, **given}, ("image", "phrases", *SETTINGS))
    if not 0 < len(images) <= limits.max_images:
        raise ValueError(
            f"{counted(len(images), 'image')}: a request may have 1 to {limits.max_images}"
        )
    threshold = _threshold(given["threshold"]) if "threshold" in given else None
    most = given.get("max_detections", min(MAX_DETECTIONS, limits.max_detections))
    if type(most) is not int or not 1 <= most <= limits.max_detections:
        raise ValueError(
            f"max_detections {_short(most)}: give a whole number from 1 to {limits.max_detections}"
        )
    apart = given.get("no_overlaps", False)
    if type(apart) is not bool:
        raise ValueError(f"no_overlaps {_short(apart)}: give true or false")
    asked = phrases(given["phrases"], limits) if "phrases" in given else ()
    return Question(tuple(images), asked, threshold, most, apart)


def require_known(given: Mapping[str, Any], known: Sequence[str]) -> None:
    """Raise ValueError for a field that no request of this kind has."""
    if unknown := given.keys() - set(known):
        names = ", ".join(sorted(unknown))
        raise ValueError(f"unknown {names:.200}: a request has {', '.join(known)}")


def picture(given: Any, name: str) -> bytes:
    """The picture file in a text of base64, with or without line breaks and `data:` before it.

    Raises ValueError.
    """
    if not isinstance(given, str):
        raise ValueError(f"{name} must be text: the image file in base64")
    text = (given.partition(";base64,")[2] or given).translate(_SPACES)
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        is_other = ("-" in text or "_" in text) and not ("+" in text or "/" in text)
        why = "it is the URL-safe kind, with - and _: use + and /" if is_other else str(error)
        raise ValueError(f"{name} is not base64: {why}") from None


def _threshold(given: Any) -> float:
    if type(given) is int and abs(given) > 1:  # it may be too large for a float
        raise ValueError(f"threshold {_short(given)}: give a score from 0 to 1")
    return question.checked_threshold(given)


def phrases(given: Any, limits: Limits) -> tuple[str, ...]:
    """The phrases, if they are within the limits. Raises ValueError."""
    if not isinstance(given, list) or not given:
        raise ValueError(
            'phrases must be a list of texts, for example ["red star", "star left of circle"]; '
            "leave it out for the detector's own names"
        )
    if len(given) > limits.max_phrases:
        raise ValueError(f"{len(given)} phrases: a request may have {limits.max_phrases}")
    checked = question.checked_phrases(given)
    for number, phrase in enumerate(checked):
        if len(phrase) > limits.max_phrase_characters:
            raise ValueError(
                f"phrase {number} has {len(phrase)} characters: "
                f"it may have {limits.max_phrase_characters}"
            )
        if "\N{REPLACEMENT CHARACTER}" in phrase:
            raise ValueError(f"phrase {number} holds U+FFFD: it was no UTF-8 where it came from")
        if "\0" in phrase:
            raise ValueError(f"phrase {number} holds a zero character")
    return checked


def _short(value: Any) -> str:
    if type(value) is int and abs(value) >= 10**30:
        return "of more than 30 digits"
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
