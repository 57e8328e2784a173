"""Captions by contrast within the batch: each image with its caption against all others (CLIP)."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from omnidet.schema import Batch, LossTerm, Matches, Predictions

FIRST_TEMPERATURE = 0.07
LARGEST_SCALE = 100.0
"""Both of CLIP (arXiv 2103.00020)."""


class ImageScale(nn.Module):
    """Image embeddings -> unit vectors times a learned scale."""

    def __init__(self) -> None:
        super().__init__()
        self.log_scale = nn.Parameter(torch.tensor(-math.log(FIRST_TEMPERATURE)))

    def forward(self, image_BD: Tensor) -> Tensor:
        """(B, D)."""
        scale = self.log_scale.exp().clamp(max=LARGEST_SCALE)
        return functional.normalize(image_BD, dim=-1) * scale


def contrast(predictions: Predictions, batch: Batch, matches: Matches) -> LossTerm:  # noqa: ARG001
    """Cross-entropy in both directions; the count is the number of captions.

    Images with the very same caption are no negatives of each other.
    """
    image_M = torch.nonzero(batch.caption_B >= 0)[:, 0]
    phrase_M = batch.caption_B[image_M]
    logits_MM = (
        predictions.image_embeddings_BD[image_M] @ predictions.phrase_embeddings_PD[phrase_M].T
    )
    same_MM = (phrase_M[:, None] == phrase_M).float()
    target_MM = same_MM / same_MM.sum(1, keepdim=True).clamp(min=1)
    loss_M = sum(
        -(target_MM * functional.log_softmax(logits, 1)).sum(1) / 2
        for logits in (logits_MM, logits_MM.T)
    )
    stream_MS = batch.stream_BS[image_M]
    return LossTerm(loss_M @ stream_MS, stream_MS.sum(0))
