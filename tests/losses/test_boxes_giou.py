"""Generalised IoU of matched boxes against torchvision's."""

from __future__ import annotations

import torch
from torchvision.ops import box_convert, generalized_box_iou_loss

from omnidet.losses.boxes_giou import boxes_giou
from tests import toys


def test_equals_torchvisions_loss():
    batch = toys.batch()
    predictions = toys.predictions(batch, toys.leaves())
    image, region, box = (list(part) for part in toys.MATCHES)
    each = generalized_box_iou_loss(
        box_convert(predictions.boxes_cxcywh_BQ4[image, region], "cxcywh", "xyxy"),
        box_convert(batch.boxes_cxcywh_BN4[image, box], "cxcywh", "xyxy"),
    )
    term = boxes_giou(predictions, batch, toys.matches())
    torch.testing.assert_close(
        term.total_S, torch.stack([each[:3].sum(), each[3:].sum(), each.new_zeros(())])
    )
    assert term.count_S.tolist() == [3, 2, 0]
