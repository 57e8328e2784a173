"""What a request to the server asks, and its answer, as plain data: no sockets here.

Tensors are those of the Open Inference Protocol v2 in JSON: `data` is flat or nested, bytes are text in base64.
"""

from __future__ import annotations

import base64
import binascii
import json
import math
from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from starlette.datastructures import Headers, QueryParams, UploadFile
from starlette.exceptions import HTTPException
from starlette.formparsers import MultiPartException, MultiPartParser

from omnidet.inference.defaults import MAX_DETECTIONS, THRESHOLD
from omnidet.inference.detector import Detections

_OUTPUTS: tuple[tuple[str, str, list[int]], ...] = (
    ("images", "INT64", []),
    ("boxes", "FP32", [4]),
    ("scores", "FP32", []),
    ("phrases", "BYTES", []),
)

Found = Sequence[tuple[Detections, tuple[int, int]]]
"""For each image what was found, and its width and height."""


@dataclass(frozen=True)
class Limits:
    """The most that one request may ask."""

    max_request_bytes: int = 16 << 20
    max_images: int = 16
    max_phrases: int = 2000
    max_phrase_characters: int = 300
    max_detections: int = 1000

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if value < 1:
                raise ValueError(f"{name} is {value}: 1 is the least")


@dataclass(frozen=True)
class Question:
    """A request that was understood."""

    images: tuple[bytes, ...]
    phrases: tuple[str, ...]
    threshold: float
    max_detections: int


async def read(content_type: str, body: bytes, query: QueryParams, limits: Limits) -> Question:
    """The question of `POST /detect`. Raises ValueError for a wrong one, HTTPException (415) for a kind that is not read."""
    kind = content_type.partition(";")[0].strip().lower()
    if kind == "application/json":
        content = json_object(body)
        given = content.pop("image", None)
        return _question([_base64(given, "image")], content, limits)
    if kind == "multipart/form-data":
        return await _form(content_type, body, limits)
    if kind.startswith("image/") or kind == "application/octet-stream":
        return _question([body], _fields(query.multi_items()), limits)
    raise HTTPException(
        415,
        f"content type {kind or 'unknown'!r} is not read: send application/json, multipart/form-data or image/...",
    )


def json_object(body: bytes) -> dict[str, Any]:
    """The body as a JSON object. Raises ValueError."""
    try:
        content = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"the body is not JSON: {error}") from None
    if not isinstance(content, dict):
        raise ValueError("the body is not a JSON object")
    return content


def from_tensors(content: Mapping[str, Any], limits: Limits) -> Question:
    """The question of an inference request (v2). Raises ValueError."""
    inputs = content.get("inputs")
    if not isinstance(inputs, list) or not all(isinstance(item, dict) for item in inputs):
        raise ValueError('"inputs" must be a list of tensors: "image" and "phrases"')
    tensors = {str(item.get("name")): item for item in inputs}
    if tensors.keys() != {"image", "phrases"} or len(inputs) != 2:
        raise ValueError(
            f'"inputs" holds {", ".join(sorted(tensors)) or "nothing"}: give "image" and "phrases", once each'
        )
    images, phrases = (_elements(tensors[name], name) for name in ("image", "phrases"))
    parameters = content.get("parameters", {})
    if not isinstance(parameters, dict):
        raise ValueError('"parameters" must be an object, as {"threshold": 0.3}')
    _chosen(content)
    asked = {
        key: value for key, value in parameters.items() if key in ("threshold", "max_detections")
    }
    return _question(
        [_base64(given, "image") for given in images], {"phrases": phrases, **asked}, limits
    )


def to_tensors(
    content: Mapping[str, Any], question: Question, found: Found, name: str, version: str
) -> dict[str, Any]:
    """The answer to an inference request: for each detection its image, box, score and phrase."""
    each = [(number, detections) for number, (detections, _) in enumerate(found)]
    count = sum(len(detections.scores) for _, detections in each)
    data: dict[str, list[Any]] = {
        "images": [number for number, detections in each for _ in detections.scores],
        "boxes": [_rounded(value) for _, d in each for box in d.boxes_xyxy for value in box],
        "scores": [_rounded(score, 6) for _, d in each for score in d.scores],
        "phrases": [question.phrases[int(index)] for _, d in each for index in d.phrase],
    }
    chosen = _chosen(content)
    outputs = [
        {"name": key, "datatype": kind, "shape": [count, *more], "data": data[key]}
        for key, kind, more in _OUTPUTS
        if key in chosen
    ]
    own = {"id": content["id"]} if isinstance(content.get("id"), str) else {}
    return {"model_name": name, "model_version": version, **own, "outputs": outputs}


def metadata(name: str, version: str) -> dict[str, Any]:
    """What the model takes and gives (v2)."""
    return {
        "name": name,
        "versions": [version],
        "platform": "omnidet",
        "inputs": [
            {"name": key, "datatype": "BYTES", "shape": [-1]} for key in ("image", "phrases")
        ],
        "outputs": [
            {"name": key, "datatype": kind, "shape": [-1, *more]} for key, kind, more in _OUTPUTS
        ],
    }


def to_plain(found: Detections, size: tuple[int, int], phrases: Sequence[str]) -> dict[str, Any]:
    """The answer of `POST /detect`; boxes are x0, y0, x1, y1 in pixels of the image as a viewer shows it."""
    detections = [
        {
            "box": [_rounded(value) for value in box],
            "score": _rounded(score, 6),
            "phrase": phrases[int(index)],
        }
        for box, score, index in zip(found.boxes_xyxy, found.scores, found.phrase, strict=True)
    ]
    return {"width": size[0], "height": size[1], "detections": detections}


async def _form(content_type: str, body: bytes, limits: Limits) -> Question:
    async def stream() -> AsyncGenerator[bytes, None]:
        yield body

    headers = Headers({"content-type": content_type})
    parser = MultiPartParser(
        headers,
        stream(),
        max_files=1,
        max_fields=limits.max_phrases + 2,
        max_part_size=limits.max_request_bytes,
    )
    try:
        form = await parser.parse()
    except (MultiPartException, KeyError) as error:
        message = error.message if isinstance(error, MultiPartException) else "it names no boundary"
        raise ValueError(f"the form cannot be read: {message}") from None
    image = form.get("image")
    if not isinstance(image, UploadFile):
        raise ValueError(
            'the form has no file "image": send one, as curl -F image=@picture.jpg -F phrases="red star"'
        )
    try:
        content = await image.read()
    finally:
        await form.close()
    return _question(
        [content],
        _fields((key, value) for key, value in form.multi_items() if isinstance(value, str)),
        limits,
    )


def _fields(items: Any) -> dict[str, Any]:
    """Fields of a form or a query: `phrases` may stand several times, numbers are text."""
    fields: dict[str, Any] = {"phrases": []}
    for key, value in items:
        if key == "phrases":
            fields["phrases"].append(value)
        else:
            try:
                fields[key] = json.loads(value)
            except ValueError:
                fields[key] = value
    return fields


def _question(images: list[bytes], fields: Mapping[str, Any], limits: Limits) -> Question:
    unknown = fields.keys() - {"phrases", "threshold", "max_detections"}
    if unknown:
        raise ValueError(
            f"unknown {', '.join(sorted(unknown))}: a request has image, phrases, threshold, max_detections"
        )
    if not 0 < len(images) <= limits.max_images:
        raise ValueError(f"{len(images)} images: 1 to {limits.max_images} fit into a request")
    phrases = fields.get("phrases")
    if (
        not isinstance(phrases, list)
        or not phrases
        or not all(isinstance(phrase, str) for phrase in phrases)
    ):
        raise ValueError('phrases must be a list of words, as ["red star", "star left of circle"]')
    if len(phrases) > limits.max_phrases:
        raise ValueError(f"{len(phrases)} phrases: {limits.max_phrases} are the most")
    for number, phrase in enumerate(phrases):
        if not phrase.strip():
            raise ValueError(f"phrase {number} is empty")
        if not phrase.isascii() and any("\ud800" <= character <= "\udfff" for character in phrase):
            raise ValueError(f"phrase {number} is no text: it holds half a character")
        if len(phrase) > limits.max_phrase_characters:
            raise ValueError(
                f"phrase {number} has {len(phrase)} characters: {limits.max_phrase_characters} are the most"
            )
    threshold = fields.get("threshold", THRESHOLD)
    most = fields.get("max_detections", min(MAX_DETECTIONS, limits.max_detections))
    if type(threshold) not in (int, float) or not math.isfinite(threshold):
        raise ValueError(f"threshold {threshold!r} is no number: scores are from 0 to 1")
    if type(most) is not int or not 1 <= most <= limits.max_detections:
        raise ValueError(
            f"max_detections {most!r}: give a whole number from 1 to {limits.max_detections}"
        )
    return Question(tuple(images), tuple(phrases), float(threshold), most)


def _chosen(content: Mapping[str, Any]) -> list[str]:
    """Names of the outputs that are asked for."""
    known, asked = [name for name, _, _ in _OUTPUTS], content.get("outputs") or []
    if not isinstance(asked, list) or not all(
        isinstance(item, dict) and item.get("name") in known for item in asked
    ):
        raise ValueError(f'"outputs" must be a list of {{"name": ...}}, of {", ".join(known)}')
    return [item["name"] for item in asked] or known


def _elements(tensor: Mapping[str, Any], name: str) -> list[Any]:
    """The elements of a tensor of bytes, in one row."""
    if tensor.get("datatype") != "BYTES":
        raise ValueError(
            f'input "{name}" has datatype {tensor.get("datatype")!r}: it must be BYTES'
        )
    shape, elements = tensor.get("shape"), _flat(tensor.get("data"), name)
    if not isinstance(shape, list) or not all(type(size) is int and size >= 0 for size in shape):
        raise ValueError(f'input "{name}" has no shape, as [{len(elements)}]')
    if math.prod(shape) != len(elements):
        raise ValueError(f'input "{name}" has shape {shape} and {len(elements)} elements')
    return elements


def _flat(data: Any, name: str) -> list[Any]:
    if not isinstance(data, list):
        raise ValueError(
            f'input "{name}" has no list "data" (the binary extension of the protocol is not read)'
        )
    row = []
    for item in data:
        row += (
            item if isinstance(item, list) else [item]
        )  # one level of nesting: [[a, b]] is what numpy users send
    return row


def _base64(given: Any, name: str) -> bytes:
    if not isinstance(given, str):
        raise ValueError(f"{name} must be text: the image file in base64")
    try:
        return base64.b64decode(given.partition(";base64,")[2] or given, validate=True)
    except (binascii.Error, ValueError):
        raise ValueError(f"{name} is not base64") from None


def _rounded(value: Any, digits: int = 2) -> float:
    return round(float(value), digits)
