"""Which of the image's names apply to each region: sigmoid focal loss on the score."""

from __future__ import annotations

import torch
from torch.nn import functional

from omnidet.schema import Batch, LossTerm, Matches, Predictions

ALPHA = 0.25
GAMMA = 2.0
"""Lin et al., Focal Loss for Dense Object Detection, arXiv 1708.02002."""


def names(predictions: Predictions, batch: Batch, matches: Matches) -> LossTerm:
    """Positive if a matched region has the name, else negative; nothing outside the label space.

    The count is the number of positive (region, name) pairs.
    """
    scores_BQL = predictions.scores_BQL
    target_BQL = torch.zeros_like(scores_BQL)
    named_ML = batch.named_BNL[matches.image_M, matches.box_M]
    target_BQL[matches.image_M, matches.region_M] = named_ML.to(target_BQL.dtype)
    supervised_BQL = batch.negative_BL[:, None] | target_BQL.bool()
    signed_BQL = torch.where(target_BQL.bool(), scores_BQL, -scores_BQL)  # the logit of being right
    weight_BQL = ALPHA * target_BQL + (1 - ALPHA) * (1 - target_BQL)
    loss_BQL = weight_BQL * (-signed_BQL).sigmoid() ** GAMMA * -functional.logsigmoid(signed_BQL)
    total_B = torch.where(supervised_BQL, loss_BQL, 0.0).sum((1, 2))
    return LossTerm(total_B @ batch.stream_BS, target_BQL.sum((1, 2)) @ batch.stream_BS)
