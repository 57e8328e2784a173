"""L1 distance of the matched boxes as shares of the image (DETR, arXiv 2005.12872)."""

from __future__ import annotations

from omnidet.schema import Batch, LossTerm, Matches, Predictions


def boxes_l1(predictions: Predictions, batch: Batch, matches: Matches) -> LossTerm:
    """The sum over centre and size; the count is the number of matched boxes."""
    predicted_M4 = predictions.boxes_cxcywh_BQ4[matches.image_M, matches.region_M]
    true_M4 = batch.boxes_cxcywh_BN4[matches.image_M, matches.box_M]
    stream_MS = batch.stream_BS[matches.image_M]
    total_S = (predicted_M4 - true_M4).abs().sum(1) @ stream_MS
    return LossTerm(total_S + predictions.boxes_cxcywh_BQ4.sum() * 0, stream_MS.sum(0))
