"""Rows of a phrase and its boxes, with numbers that read back as the same float32."""

from __future__ import annotations

from typing import Any

import numpy as np

from omnidet.measures.prediction_files import PredictionRow
from omnidet.schema import Record


def phrase_row(record: Record, text: str, boxes: Any, scores: Any) -> PredictionRow:
    rows = [plain_box(box) for box in boxes]
    return {
        "image_id": record.image_id,
        "phrase": text,
        "boxes_xyxy": rows,
        "scores": [short(score) for score in scores],
    }


def plain_box(box: Any) -> list[float]:
    return [short(v) for v in box]


def short(value: Any) -> float:
    """The shortest decimal number that reads back as the same float32."""
    return float(str(np.float32(value)))
