"""Second boxes on one thing: the focal loss on names again, where a region repeats another."""

from __future__ import annotations

import torch
from torch.nn import functional

from omnidet import boxes
from omnidet.schema import Batch, LossTerm, Matches, Predictions

ALPHA, GAMMA = 0.25, 2.0
"""Those of the loss on names."""
SAME_THING = 0.5
"""IoU with a true box above which a region that is not matched to it is a second one."""


def doubles(predictions: Predictions, batch: Batch, matches: Matches) -> LossTerm:
    """Scores of a box's names on regions that have the box and are not matched to it.

    Among the many negatives of the loss on names these few weigh too little to be learned. The
    count is that of the loss on names, so with weights w and v a second box counts (w + v) / w
    times as much as any other negative.
    """
    scores_BQL = predictions.scores_BQL
    target_BQL = torch.zeros_like(scores_BQL)
    named_ML = batch.named_BNL[matches.image_M, matches.box_M]
    target_BQL[matches.image_M, matches.region_M] = named_ML.to(target_BQL.dtype)
    with torch.no_grad():
        found_BQ4 = boxes.cxcywh_to_xyxy(predictions.boxes_cxcywh_BQ4.float())
        true_BN4 = boxes.cxcywh_to_xyxy(batch.boxes_cxcywh_BN4.float())
        same_BQN = boxes.iou(found_BQ4[:, :, None], true_BN4[:, None]) > SAME_THING
        same_BQN = same_BQN & batch.box_valid_BN[:, None]
        named_BQL = same_BQN.to(scores_BQL.dtype) @ batch.named_BNL.to(scores_BQL.dtype)
        second_BQL = (named_BQL > 0) & batch.negative_BL[:, None] & ~target_BQL.bool()
    loss_BQL = (1 - ALPHA) * scores_BQL.sigmoid() ** GAMMA * -functional.logsigmoid(-scores_BQL)
    total_B = torch.where(second_BQL, loss_BQL, 0.0).sum((1, 2))
    return LossTerm(total_B @ batch.stream_BS, target_BQL.sum((1, 2)) @ batch.stream_BS)
