"""What a request to the server asks, as plain data: no sockets here.

Tensors are those of the Open Inference Protocol v2 in JSON: `data` is flat or nested, bytes are
base64 text.
"""

from __future__ import annotations

import base64
import binascii
import json
import math
from collections.abc import AsyncGenerator, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from starlette.datastructures import Headers, QueryParams, UploadFile
from starlette.exceptions import HTTPException
from starlette.formparsers import MultiPartException, MultiPartParser

from omnidet.inference import question
from omnidet.inference.defaults import MAX_DETECTIONS, THRESHOLD
from omnidet.serving.config import Limits

OUTPUTS: tuple[tuple[str, str, list[int]], ...] = (
    ("images", "INT64", []),
    ("boxes", "FP32", [4]),
    ("scores", "FP32", []),
    ("phrases", "BYTES", []),
)
"""Tensors of an answer: name, datatype, and shape behind the number of detections."""


@dataclass(frozen=True)
class Question:
    """A request that was understood."""

    images: tuple[bytes, ...]
    phrases: tuple[str, ...]
    threshold: float
    max_detections: int


async def read(content_type: str, body: bytes, query: QueryParams, limits: Limits) -> Question:
    """The question of `POST /detect`.

    Raises ValueError for a wrong one, and HTTPException (415) for a content type that is not
    supported.
    """
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
        f"content type {kind or 'unknown'!r} is not supported: "
        "send application/json, multipart/form-data or image/...",
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
            f'"inputs" holds {", ".join(sorted(tensors)) or "nothing"}: '
            'give "image" and "phrases", once each'
        )
    images, phrases = (_elements(tensors[name], name) for name in ("image", "phrases"))
    parameters = content.get("parameters", {})
    if not isinstance(parameters, dict):
        raise ValueError('"parameters" must be an object, for example {"threshold": 0.3}')
    chosen_outputs(content)
    asked = {
        key: value for key, value in parameters.items() if key in ("threshold", "max_detections")
    }
    return _question(
        [_base64(given, "image") for given in images], {"phrases": phrases, **asked}, limits
    )


def chosen_outputs(content: Mapping[str, Any]) -> list[str]:
    """Names of the outputs that an inference request asks for: all, unless it lists some.

    Raises ValueError.
    """
    known, asked = [name for name, _, _ in OUTPUTS], content.get("outputs") or []
    if not isinstance(asked, list) or not all(
        isinstance(item, dict) and item.get("name") in known for item in asked
    ):
        raise ValueError(f'"outputs" must be a list of {{"name": ...}}, of {", ".join(known)}')
    return [item["name"] for item in asked] or known


async def _form(content_type: str, body: bytes, limits: Limits) -> Question:
    async def stream() -> AsyncGenerator[bytes, None]:
        yield body

    parser = MultiPartParser(
        Headers({"content-type": content_type}),
        stream(),
        max_files=1,
        max_fields=limits.max_phrases + 2,
        max_part_size=limits.max_request_bytes,
    )
    try:
        form = await parser.parse()
    except (MultiPartException, KeyError) as error:
        reason = error.message if isinstance(error, MultiPartException) else "it names no boundary"
        raise ValueError(f"the form cannot be read: {reason}") from None
    image = form.get("image")
    if not isinstance(image, UploadFile):
        raise ValueError(
            'the form has no file "image": send one, for example '
            'curl -F image=@picture.jpg -F phrases="red star"'
        )
    try:
        content = await image.read()
    finally:
        await form.close()
    texts = ((key, value) for key, value in form.multi_items() if isinstance(value, str))
    return _question([content], _fields(texts), limits)


def _fields(items: Iterable[tuple[str, str]]) -> dict[str, Any]:
    """The fields of a form or a query: `phrases` may come several times, numbers are text."""
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
            f"unknown {', '.join(sorted(unknown))}: "
            "a request has image, phrases, threshold, max_detections"
        )
    if not 0 < len(images) <= limits.max_images:
        raise ValueError(f"{len(images)} images: a request may have 1 to {limits.max_images}")
    threshold = question.checked_threshold(fields.get("threshold", THRESHOLD))
    most = fields.get("max_detections", min(MAX_DETECTIONS, limits.max_detections))
    if type(most) is not int or not 1 <= most <= limits.max_detections:
        raise ValueError(
            f"max_detections {most!r}: give a whole number from 1 to {limits.max_detections}"
        )
    return Question(tuple(images), _phrases(fields.get("phrases"), limits), threshold, most)


def _phrases(given: Any, limits: Limits) -> tuple[str, ...]:
    """The phrases, if they are within the limits. Raises ValueError."""
    if not isinstance(given, list) or not given:
        raise ValueError(
            'phrases must be a list of texts, for example ["red star", "star left of circle"]'
        )
    if len(given) > limits.max_phrases:
        raise ValueError(f"{len(given)} phrases: a request may have {limits.max_phrases}")
    phrases = question.checked_phrases(given)
    for number, phrase in enumerate(phrases):
        if len(phrase) > limits.max_phrase_characters:
            raise ValueError(
                f"phrase {number} has {len(phrase)} characters: "
                f"it may have {limits.max_phrase_characters}"
            )
    return phrases


def _elements(tensor: Mapping[str, Any], name: str) -> list[Any]:
    """The elements of a tensor of bytes, in one row."""
    if tensor.get("datatype") != "BYTES":
        raise ValueError(
            f'input "{name}" has datatype {tensor.get("datatype")!r}: it must be BYTES'
        )
    shape, elements = tensor.get("shape"), _flat(tensor.get("data"), name)
    if not isinstance(shape, list) or not all(type(size) is int and size >= 0 for size in shape):
        raise ValueError(f'input "{name}" has no valid shape, for example [{len(elements)}]')
    if math.prod(shape) != len(elements):
        raise ValueError(f'input "{name}" has shape {shape} and {len(elements)} elements')
    return elements


def _flat(data: Any, name: str) -> list[Any]:
    if not isinstance(data, list):
        raise ValueError(
            f'input "{name}" has no list "data" (the binary extension of the protocol is '
            "not supported)"
        )
    row = []
    for item in data:
        # One level of nesting: [[a, b]] is what numpy users send.
        row += item if isinstance(item, list) else [item]
    return row


def _base64(given: Any, name: str) -> bytes:
    if not isinstance(given, str):
        raise ValueError(f"{name} must be text: the image file in base64")
    try:
        return base64.b64decode(given.partition(";base64,")[2] or given, validate=True)
    except (binascii.Error, ValueError):
        raise ValueError(f"{name} is not base64") from None
