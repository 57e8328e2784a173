"""Which words describe a matched region: softmax over the vocabulary against phrase weights."""

from __future__ import annotations

import torch

from omnidet.schema import Batch, LossTerm, Matches, Predictions


def token_alignment(predictions: Predictions, batch: Batch, matches: Matches) -> LossTerm:
    """Cross-entropy minus the entropy of its target, so that 0 is perfect.

    The count is the number of described boxes. For a phrase with weights w, the cross-entropy of
    the token softmax is `logsumexp(l) - s(z, p)`: the full vocabulary is needed only here, at
    matched regions, so memory does not grow with regions x vocabulary. A box with several phrases
    takes their mean.
    """
    described_R = matches.described_R
    if described_R is None:
        described_R = torch.nonzero(batch.describes_B[matches.image_M])[:, 0]
    image_M, region_M, box_M = (
        part[described_R] for part in (matches.image_M, matches.region_M, matches.box_M)
    )
    named_ML = batch.named_BNL[image_M, box_M].float()
    share_ML = named_ML / named_ML.sum(1, keepdim=True).clamp(min=1)
    entropy_P = batch.phrases.entropy()
    own_ML = batch.name_BL[image_M].clamp(min=0)
    scores_ML = predictions.scores_BQL[image_M, region_M]
    temperature_M = None
    if predictions.calibration_B2 is not None:
        temperature_M, bias_M = predictions.calibration_B2[image_M].unbind(1)
        scores_ML = scores_ML - bias_M[:, None]
    log_partition_M = predictions.log_partition(
        predictions.embeddings_BQD[image_M, region_M], temperature_M
    )
    matched_ML = scores_ML + entropy_P[own_ML]
    loss_M = log_partition_M - (share_ML * matched_ML).sum(1)
    stream_MS = batch.stream_BS[image_M]
    return LossTerm(loss_M @ stream_MS, stream_MS.sum(0))
