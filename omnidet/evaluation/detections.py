"""The form in which boxes reach COCO and LVIS, and what is refused before their official code reads it."""

from __future__ import annotations

import json
import math
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, TypedDict

import numpy as np
import numpy.typing as npt

from omnidet import storage


class Detection(TypedDict):
    """One predicted box."""

    image_id: int
    category_id: int
    bbox: list[float]
    """x, y of the upper left corner, width, height, in pixels of the original image."""
    score: float


def read_ground_truth(location: str | Path) -> dict[str, Any]:
    """The annotation file. Raises ValueError where the official code would silently miscount."""
    dataset: dict[str, Any] = json.loads(storage.read_text(location))
    missing = [name for name in ("images", "annotations", "categories") if name not in dataset]
    if missing:
        raise ValueError(f"{location} has no {missing[0]!r}: give a COCO or LVIS annotation file with boxes")
    ids = {annotation["id"] for annotation in dataset["annotations"]}
    # Both tools mark a box as found by writing the annotation's id over a 0.
    if 0 in ids:
        raise ValueError(f"{location} has an annotation with id 0, which the official code counts as missed: number from 1")
    if len(ids) < len(dataset["annotations"]):
        raise ValueError(f"{location} has {len(dataset['annotations'])} annotations but {len(ids)} ids: give each its own id")
    return dataset


def check(detections: Sequence[Detection], image_ids: Collection[int], category_ids: Collection[int]) -> None:
    """Raise ValueError at the first detection that no evaluation can count; an empty list is fine."""
    images, categories = frozenset(image_ids), frozenset(category_ids)
    for index, detection in enumerate(detections):
        if detection["image_id"] not in images:
            raise ValueError(
                f"detection {index}: image_id {detection['image_id']!r} is not in the ground truth: evaluate the same split"
            )
        if detection["category_id"] not in categories:
            raise ValueError(
                f"detection {index}: category_id {detection['category_id']!r} is not in the ground truth: "
                "map the names to its category ids"
            )
        if not math.isfinite(detection["score"]):
            raise ValueError(f"detection {index}: score is {detection['score']}: the model diverged, use an earlier checkpoint")
        box = detection["bbox"]
        if len(box) != 4 or not all(map(math.isfinite, box)) or box[2] < 0 or box[3] < 0:
            raise ValueError(f"detection {index}: bbox is {box}: give finite [x, y, width, height] in pixels")


def category_precision(precision_TRK: npt.NDArray[np.float64], names: Sequence[str]) -> dict[str, float | None]:
    """Average precision of each category over T IoU thresholds and R recall points; None where it has no box to find."""
    values = (column[column > -1] for column in np.moveaxis(precision_TRK, -1, 0))
    return {name: float(v.mean()) if v.size else None for name, v in zip(names, values, strict=True)}


def split_undefined(values: Mapping[str, float]) -> tuple[dict[str, float], list[str]]:
    """The defined values, and the names of those without a box to find: the tools' -1 is no share, and JSON has no NaN."""
    return {k: float(v) for k, v in values.items() if v > -1}, [k for k, v in values.items() if v <= -1]
