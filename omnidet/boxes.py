"""The only box arithmetic: formats, area, IoU, generalised IoU. Tensors of shape (..., 4)."""

from __future__ import annotations

import torch
from torch import Tensor

MIN_SIDE = 1e-4
"""Smallest side of a predicted box, as a share of the image: keeps areas and gradients finite."""


def cxcywh_to_xyxy(boxes: Tensor) -> Tensor:
    """Centre and size to corners, any unit."""
    cx, cy, w, h = boxes.unbind(-1)
    return torch.stack([cx - w / 2, cy - h / 2, cx + w / 2, cy + h / 2], -1)


def xyxy_to_cxcywh(boxes: Tensor) -> Tensor:
    """Corners to centre and size, any unit."""
    x0, y0, x1, y1 = boxes.unbind(-1)
    return torch.stack([(x0 + x1) / 2, (y0 + y1) / 2, x1 - x0, y1 - y0], -1)


def area(boxes_xyxy: Tensor) -> Tensor:
    """Area of each box; 0 for a box whose corners are crossed."""
    return (boxes_xyxy[..., 2:] - boxes_xyxy[..., :2]).clamp(min=0).prod(-1)


def iou(a_xyxy: Tensor, b_xyxy: Tensor) -> Tensor:
    """Intersection over union of each box with its partner; shapes broadcast."""
    overlap, union = _overlap_and_union(a_xyxy, b_xyxy)
    return overlap / union.clamp(min=1e-12)


def generalized_iou(a_xyxy: Tensor, b_xyxy: Tensor) -> Tensor:
    """Generalised IoU in [-1, 1] of each box with its partner; shapes broadcast.

    Rezatofighi et al., Generalized Intersection over Union, CVPR 2019.
    """
    overlap, union = _overlap_and_union(a_xyxy, b_xyxy)
    corners_min = torch.minimum(a_xyxy[..., :2], b_xyxy[..., :2])
    corners_max = torch.maximum(a_xyxy[..., 2:], b_xyxy[..., 2:])
    hull = (corners_max - corners_min).clamp(min=0).prod(-1)
    return overlap / union.clamp(min=1e-12) - (hull - union) / hull.clamp(min=1e-12)


def _overlap_and_union(a_xyxy: Tensor, b_xyxy: Tensor) -> tuple[Tensor, Tensor]:
    corners_min = torch.maximum(a_xyxy[..., :2], b_xyxy[..., :2])
    corners_max = torch.minimum(a_xyxy[..., 2:], b_xyxy[..., 2:])
    overlap = (corners_max - corners_min).clamp(min=0).prod(-1)
    return overlap, area(a_xyxy) + area(b_xyxy) - overlap
