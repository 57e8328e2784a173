"""Which region a phrase describes: softmax over the image's regions against the phrase's boxes.

The focal loss on names treats a rival ("the circle left of the star", where another circle is right
of it) as one of many negatives, nearly all of which are background and easy. Here the regions of
one image compete for the phrase, so the gradient goes to what is scored like the right one. With
the token softmax it makes the two directions of MDETR's alignment (arXiv 2104.12763).
"""

from __future__ import annotations

import torch

from omnidet.schema import Batch, LossTerm, Matches, Predictions


def region_alignment(predictions: Predictions, batch: Batch, matches: Matches) -> LossTerm:
    """Cross-entropy minus the entropy of its target, so that 0 is perfect.

    The target of a phrase is an equal share for each region that is matched to one of its boxes.
    Only where the phrases of a box describe all of it, and not for phrases that may name more than
    their boxes, whose other regions may be right. The count is the number of such phrases.
    """
    scores_BQL = predictions.scores_BQL
    target_BQL = torch.zeros_like(scores_BQL)
    named_ML = batch.named_BNL[matches.image_M, matches.box_M]
    target_BQL[matches.image_M, matches.region_M] = named_ML.to(target_BQL.dtype)
    regions_BL = target_BQL.sum(1)
    learns_BL = (regions_BL > 0) & batch.negative_BL & batch.describes_B[:, None]
    share_BQL = target_BQL / regions_BL.clamp(min=1)[:, None]
    matched_BL = (share_BQL * scores_BQL).sum(1)
    loss_BL = scores_BQL.logsumexp(1) - matched_BL - regions_BL.clamp(min=1).log()
    total_B = torch.where(learns_BL, loss_BL, 0.0).sum(1)
    return LossTerm(total_B @ batch.stream_BS, learns_BL.sum(1).float() @ batch.stream_BS)
