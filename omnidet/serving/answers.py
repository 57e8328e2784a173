"""Detections -> the bytes of an answer: tensors (Open Inference Protocol v2) or plain objects."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import numpy as np

from omnidet.schema import FloatArray
from omnidet.serving.batching import Found
from omnidet.serving.requests import Question
from omnidet.serving.tensors import OUTPUTS, Wanted, packed

_MOST_OF_A_MESSAGE = 500


def to_tensors(
    wanted: Wanted,
    question: Question,
    found: Sequence[Found],
    name: str,
    version: str,
    warnings: Sequence[str] = (),
) -> tuple[bytes, int | None]:
    """The answer to an inference request (v2): for each detection its image, box, score and phrase.

    Args:
        found: for each image of the question.
        name: of the model.
        warnings: for people; among the answer's parameters.

    Returns:
        The body, and the length of the JSON in it if binary data follows.
    """
    count = sum(len(detections.scores) for detections in found)
    data: dict[str, list[Any]] = {
        "images": [number for number, d in enumerate(found) for _ in d.scores],
        "boxes": [value for d in found for box in _rounded(d.boxes_xyxy, 2) for value in box],
        "scores": [score for d in found for score in _rounded(d.scores, 6)],
        "phrases": [question.phrases[index] for d in found for index in d.phrase.tolist()],
    }
    outputs, binary = [], []
    for key, kind, more in OUTPUTS:
        if key not in wanted.outputs:
            continue
        tensor: dict[str, Any] = {"name": key, "datatype": kind, "shape": [count, *more]}
        if wanted.outputs[key]:
            binary.append(packed(data[key], kind))
            tensor["parameters"] = {"binary_data_size": len(binary[-1])}
        else:
            tensor["data"] = data[key]
        outputs.append(tensor)
    answer: dict[str, Any] = {"model_name": name, "model_version": version}
    if wanted.id is not None:
        answer["id"] = wanted.id
    if warnings:
        answer["parameters"] = {"warnings": " | ".join(warnings)}
    header = to_json({**answer, "outputs": outputs})
    return b"".join([header, *binary]), len(header) if binary else None


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
            {"name": key, "datatype": kind, "shape": [-1, *more]} for key, kind, more in OUTPUTS
        ],
    }


def to_plain(found: Found, phrases: Sequence[str], warnings: Sequence[str] = ()) -> dict[str, Any]:
    """The answer of `POST /detect`; boxes are x0, y0, x1, y1 in pixels of the image as a viewer
    shows it.
    """
    detections = [
        {"box": box, "score": score, "phrase": phrases[index]}
        for box, score, index in zip(
            _rounded(found.boxes_xyxy, 2),
            _rounded(found.scores, 6),
            found.phrase.tolist(),
            strict=True,
        )
    ]
    plain: dict[str, Any] = {"width": found.width, "height": found.height, "detections": detections}
    return {**plain, "warnings": list(warnings)} if warnings else plain


def to_json(content: Any) -> bytes:
    """JSON in UTF-8."""
    return json.dumps(content, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()


def error(message: str) -> bytes:
    """The body of a refusal."""
    return to_json({"error": line(message)})


def line(message: str) -> str:
    """One line that can be printed, whatever a client wrote into it."""
    shown = "".join(c if c.isprintable() else _escaped(c) for c in " ".join(message.split()))
    if len(shown) > _MOST_OF_A_MESSAGE:
        shown = f"{shown[:_MOST_OF_A_MESSAGE]}..."
    return shown


def _escaped(character: str) -> str:
    return character.encode("unicode_escape").decode()


def _rounded(values: FloatArray, digits: int) -> list[Any]:
    """Plain numbers; rounded in double precision, so that they are written with few digits."""
    rounded: list[Any] = np.round(values.astype(np.float64), digits).tolist()
    return rounded
