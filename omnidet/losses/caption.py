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
    # All images, and nothing for those without a caption: choosing them would wait for a GPU.
    has_caption_B = batch.caption_B >= 0
    phrase_B = batch.caption_B.clamp(min=0)
    image_BD = predictions.image_embeddings_BD
    rows_BD, biases_B = (
        part[phrase_B] for part in (predictions.phrase_embeddings_PD, predictions.phrase_biases_P)
    )
    matched_B = (image_BD * rows_BD).sum(1) + biases_B
    temperature_B = None
    if predictions.calibration_B2 is not None:
        temperature_B = predictions.calibration_B2[:, 0]
        matched_B = matched_B * temperature_B
    log_partition_B = predictions.log_partition(image_BD, temperature_B)
    loss_B = log_partition_B - matched_B.float() - batch.phrases.entropy()[phrase_B]
    loss_B = torch.where(has_caption_B, loss_B, 0.0)
    return LossTerm(loss_B @ batch.stream_BS, has_caption_B.float() @ batch.stream_BS)
