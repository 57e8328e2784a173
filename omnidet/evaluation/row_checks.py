"""Checks of the rows in a JSON file of phrases, be it ground truth or results.

Each error names the row, the value and the remedy.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from omnidet.evaluation.truth import are_four, is_box, read_json
from omnidet.schema import FloatArray


def read_objects(location: str) -> list[dict[str, Any]]:
    """The content of a JSON file that holds one list of objects. Raises ValueError otherwise."""
    content = read_json(location)
    if not isinstance(content, list) or not all(isinstance(row, dict) for row in content):
        raise ValueError(
            f"{location} is not a JSON list of objects: docs/evaluation.md shows the format"
        )
    return content


def require_fields(row: Any, fields: Sequence[str], where: str) -> None:
    """Raise ValueError if the row is not an object with all these fields."""
    lacking = [field for field in fields if not isinstance(row, Mapping) or field not in row]
    if lacking:
        raise ValueError(f"{where} has no {lacking[0]!r}: give {', '.join(fields)}")


def require_id(row: Mapping[str, Any], field: str, where: str) -> None:
    """Raise ValueError if the field is neither a whole number nor a text."""
    if not isinstance(row[field], int | str):
        raise ValueError(
            f"{where} has {field} {str(row[field])[:60]}: give a whole number or a text"
        )


def corners(xywh: Any, where: str) -> FloatArray:
    """The box `[x, y, width, height]` as xyxy (4,). Raises ValueError if it is not one."""
    if not is_box(xywh):
        raise ValueError(
            f"{where}: bbox is {str(xywh)[:60]}: give finite [x, y, width, height] in pixels"
        )
    x, y, width, height = xywh
    return np.array([x, y, x + width, y + height], np.float32)


def corner_boxes(boxes: Any, where: str) -> FloatArray:
    """A list of boxes `[x0, y0, x1, y1]` as an array (n, 4). Raises ValueError otherwise."""
    rows = boxes if isinstance(boxes, list) else [boxes]
    for box in rows:
        if not are_four(box) or box[2] < box[0] or box[3] < box[1]:
            raise ValueError(
                f"{where}: {str(box)[:60]} is not a box: give finite [x0, y0, x1, y1] in pixels"
            )
    return np.array(rows, np.float32).reshape(-1, 4)
