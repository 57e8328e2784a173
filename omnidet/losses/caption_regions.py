"""Which region each word of a caption is about: names that no box has are learned from captions.

The caption's loss on the whole image teaches such a word nowhere in particular, and the losses of
boxes teach regions with things in them everything but that word. Here each token of a caption is
looked for among the regions that look like a thing with a name, by its present score, and there it
is to be the word of the vocabulary and this the region of the image. Choosing by score alone, as
WSDDN does (arXiv 1511.02853), settles on background; Detic (arXiv 2201.02605) chooses by size.
"""

from __future__ import annotations

import torch
from torch import Tensor

from omnidet.schema import Batch, LossTerm, Matches, Predictions


def caption_regions(predictions: Predictions, batch: Batch, matches: Matches) -> LossTerm:  # noqa: ARG001
    """Cross-entropies over the vocabulary and over the regions, weighted as in the caption.

    The target is a share of each region, `softmax(s(z, token) + best score of an asked name)` over
    the regions, without gradient. The vocabulary is needed only at the mean embedding under these
    shares, one for each token, so memory does not grow with regions x vocabulary. The count is the
    number of captions; where no name is asked (`Stream.asked_names`), nothing tells things from
    background, and nothing is learned.
    """
    rows_BTD, biases_BT = predictions.caption_rows_BTD, predictions.caption_biases_BT
    assert rows_BTD is not None
    assert biases_BT is not None
    z_BQD, asked_BL = predictions.embeddings_BQD, batch.name_BL >= 0
    temperature_B = z_BQD.new_ones(len(z_BQD))
    if predictions.calibration_B2 is not None:
        temperature_B = predictions.calibration_B2[:, 0]
    logits_BTQ = rows_BTD @ z_BQD.transpose(1, 2) + biases_BT[..., None]
    scores_BTQ = logits_BTQ * temperature_B[:, None, None]
    with torch.no_grad():
        thing_BQ = _best_name(predictions.scores_BQL, asked_BL)
        share_BTQ = (scores_BTQ + thing_BQ[:, None]).softmax(2)
    found_BTD = share_BTQ @ z_BQD
    matched_BT = (share_BTQ * scores_BTQ).sum(2)
    temperature_N = temperature_B[:, None].expand_as(matched_BT).flatten()
    log_partition_N = predictions.log_partition(found_BTD.flatten(0, 1), temperature_N)
    words_BT = log_partition_N.view_as(matched_BT) - matched_BT
    places_BT = scores_BTQ.logsumexp(2) - matched_BT
    loss_B = (batch.caption_weight_BT * (words_BT + places_BT)).sum(1)
    learns_B = (batch.caption_weight_BT > 0).any(1) & asked_BL.any(1)
    loss_B = torch.where(learns_B, loss_B, 0.0)
    return LossTerm(loss_B @ batch.stream_BS, learns_B.float() @ batch.stream_BS)


def _best_name(scores_BQL: Tensor, asked_BL: Tensor) -> Tensor:
    """The best score (B, Q) of an asked name on each region; 0 where none is asked."""
    if not scores_BQL.shape[2]:
        return scores_BQL.new_zeros(scores_BQL.shape[:2])
    lowest = torch.finfo(scores_BQL.dtype).min
    best_BQ = scores_BQL.masked_fill(~asked_BL[:, None], lowest).amax(2)
    return torch.where(asked_BL.any(1)[:, None], best_BQ, 0.0)
