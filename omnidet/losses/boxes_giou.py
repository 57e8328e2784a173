"""1 - generalised IoU of the matched boxes (Rezatofighi et al., CVPR 2019)."""

from __future__ import annotations

from omnidet.boxes import cxcywh_to_xyxy, generalized_iou
from omnidet.schema import Batch, LossTerm, Matches, Predictions


def boxes_giou(predictions: Predictions, batch: Batch, matches: Matches) -> LossTerm:
    """The count is the number of matched boxes."""
    predicted_M4 = cxcywh_to_xyxy(predictions.boxes_cxcywh_BQ4[matches.image_M, matches.region_M])
    true_M4 = cxcywh_to_xyxy(batch.boxes_cxcywh_BN4[matches.image_M, matches.box_M])
    stream_MS = batch.stream_BS[matches.image_M]
    total_S = (1 - generalized_iou(predicted_M4, true_M4)) @ stream_MS
    return LossTerm(total_S + predictions.boxes_cxcywh_BQ4.sum() * 0, stream_MS.sum(0))
