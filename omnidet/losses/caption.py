"""Which words describe the whole image: softmax over the vocabulary against the caption's weights.

This is SuperClass's loss (arXiv 2411.03313), with inverse document frequencies from the corpus in
place of running ones.
"""

from __future__ import annotations

import torch

from omnidet.schema import Batch, LossTerm, Matches, Predictions


def caption(predictions: Predictions, batch: Batch, matches: Matches) -> LossTerm:  # noqa: ARG001
    """Cross-entropy minus the entropy of its target, so that 0 is perfect.

    The count is the number of captions.
    """
    image_M = torch.nonzero(batch.caption_B >= 0)[:, 0]
    phrase_M = batch.caption_B[image_M]
    image_MD = predictions.image_embeddings_BD[image_M]
    rows_MD, biases_M = (
        part[phrase_M] for part in (predictions.phrase_embeddings_PD, predictions.phrase_biases_P)
    )
    matched_M = (image_MD * rows_MD).sum(1) + biases_M
    temperature_M = None
    if predictions.calibration_B2 is not None:
        temperature_M = predictions.calibration_B2[image_M, 0]
        matched_M = matched_M * temperature_M
    log_partition_M = predictions.log_partition(image_MD, temperature_M)
    loss_M = log_partition_M - matched_M.float() - batch.phrases.entropy()[phrase_M]
    stream_MS = batch.stream_BS[image_M]
    return LossTerm(loss_M @ stream_MS, stream_MS.sum(0))
