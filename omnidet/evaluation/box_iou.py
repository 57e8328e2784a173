"""IoU in doubles and without torch, for counting: `boxes.py` is for training and single precision.

Shapes broadcast. Double precision keeps an IoU of exactly one half from being rounded away.
"""

from __future__ import annotations

import numpy as np

from omnidet.evaluation.truth import Bools, Doubles
from omnidet.schema import FloatArray


def iou_xyxy(first: FloatArray | Doubles, second: FloatArray | Doubles) -> Doubles:
    """IoU of boxes (..., 4) given by their corners."""
    a, b = np.asarray(first, np.float64), np.asarray(second, np.float64)
    sides = np.minimum(a[..., 2:], b[..., 2:]) - np.maximum(a[..., :2], b[..., :2])
    both = sides.clip(min=0).prod(-1)
    area_a, area_b = ((box[..., 2:] - box[..., :2]).clip(min=0).prod(-1) for box in (a, b))
    iou: Doubles = both / np.maximum(area_a + area_b - both, 1e-12)
    return iou


def iou_xywh(found: Doubles, true: Doubles, crowd: Bools | bool = False) -> Doubles:
    """IoU of boxes (..., 4) given by corner and size; with a crowd, the share of `found` inside it.

    This is `bbIou` of pycocotools' maskApi.c, operation by operation.
    """
    left, top = (np.maximum(found[..., i], true[..., i]) for i in (0, 1))
    right, bottom = (
        np.minimum(found[..., i + 2] + found[..., i], true[..., i + 2] + true[..., i])
        for i in (0, 1)
    )
    width, height = right - left, bottom - top
    both = np.where((width > 0) & (height > 0), width * height, 0.0)
    area_found, area_true = (boxes[..., 2] * boxes[..., 3] for boxes in (found, true))
    union = np.where(crowd, area_found, area_found + area_true - both)
    iou: Doubles = np.divide(both, union, out=np.zeros_like(both), where=both > 0)
    return iou
