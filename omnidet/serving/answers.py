"""Detections -> the JSON of an answer: tensors (Open Inference Protocol v2) or plain objects."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from omnidet.inference.detector import Detections
from omnidet.serving.requests import OUTPUTS, Question, chosen_outputs


def to_tensors(
    content: Mapping[str, Any],
    question: Question,
    found: Sequence[Detections],
    name: str,
    version: str,
) -> dict[str, Any]:
    """The answer to an inference request (v2): for each detection its image, box, score and phrase.

    Args:
        content: the request, which says by which `id` and with which outputs it wants its answer.
        found: for each image of the question.
        name: of the model.
    """
    count = sum(len(detections.scores) for detections in found)
    data: dict[str, list[Any]] = {
        "images": [number for number, d in enumerate(found) for _ in d.scores],
        "boxes": [_rounded(value) for d in found for box in d.boxes_xyxy for value in box],
        "scores": [_rounded(score, 6) for d in found for score in d.scores],
        "phrases": [question.phrases[int(index)] for d in found for index in d.phrase],
    }
    chosen = chosen_outputs(content)
    outputs = [
        {"name": key, "datatype": kind, "shape": [count, *more], "data": data[key]}
        for key, kind, more in OUTPUTS
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
            {"name": key, "datatype": kind, "shape": [-1, *more]} for key, kind, more in OUTPUTS
        ],
    }


def to_plain(found: Detections, phrases: Sequence[str]) -> dict[str, Any]:
    """The answer of `POST /detect`; boxes are x0, y0, x1, y1 in pixels of the image as a viewer
    shows it.
    """
    detections = [
        {
            "box": [_rounded(value) for value in box],
            "score": _rounded(score, 6),
            "phrase": phrases[int(index)],
        }
        for box, score, index in zip(found.boxes_xyxy, found.scores, found.phrase, strict=True)
    ]
    return {"width": found.width, "height": found.height, "detections": detections}


def _rounded(value: Any, digits: int = 2) -> float:
    return round(float(value), digits)
