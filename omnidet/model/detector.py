"""The detector: one backbone, one head, one vocabulary.

The score of phrase p on region z is `s(z, p) = z . (w_p E) + w_p . b`, its token weights applied to the token logits. It
does not depend on what else is asked, and costs one row of a matrix product.
"""

from __future__ import annotations

import dataclasses

import torch
from torch import Tensor, nn

from omnidet.model.config import ModelConfig
from omnidet.model.heads import RegionHead, StreamCalibration, TokenTable
from omnidet.schema import Batch, PhraseTable, Predictions


class Detector(nn.Module):
    """Images and a label space in, Predictions out."""

    def __init__(self, config: ModelConfig, num_tokens: int) -> None:
        super().__init__()
        self.config = config
        self.backbone = config.backbone.build(config.position_side)
        self.head = RegionHead(
            self.backbone.width,
            config.embedding_width,
            config.position_side // self.backbone.stride,
        )
        self.tokens = TokenTable(num_tokens, config.embedding_width)
        if config.calibrated_streams:
            self.head.calibration = StreamCalibration(config.calibrated_streams)

    def forward(self, batch: Batch) -> Predictions:
        """Everything that the losses ask for."""
        first, *rest = (self.predict(group) for group in batch.groups())
        return dataclasses.replace(first, more=tuple(rest))

    def predict(self, batch: Batch) -> Predictions:
        """The same for images of one size."""
        embeddings_BQD, boxes_BQ4, image_BD = self.regions(batch.images_BCHW)
        rows_PD, biases_P, log_partition = self.tokens.in_training(batch.phrases)
        # Each image is scored on its own label space only: memory grows with regions x names, never x vocabulary.
        own_BL = batch.name_BL.clamp(min=0)
        # In single precision: the token losses are differences of these scores and logits.
        with torch.autocast(embeddings_BQD.device.type, enabled=False):
            scores_BQL = (
                embeddings_BQD @ rows_PD[own_BL].transpose(1, 2) + biases_P[own_BL][:, None]
            )
            calibration_B2 = (
                self.head.calibration(batch.stream_BS) if self.head.calibration else None
            )
            if calibration_B2 is not None:
                scores_BQL = scores_BQL * calibration_B2[:, :1, None] + calibration_B2[:, 1:, None]
        return Predictions(
            embeddings_BQD=embeddings_BQD,
            boxes_cxcywh_BQ4=boxes_BQ4,
            image_embeddings_BD=image_BD,
            scores_BQL=scores_BQL,
            phrase_embeddings_PD=rows_PD,
            phrase_biases_P=biases_P,
            log_partition=log_partition,
            calibration_B2=calibration_B2,
        )

    def regions(self, images_BCHW: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Region embeddings (B, Q, D), boxes cxcywh (B, Q, 4) and image embedding (B, D): all that an image costs."""
        side = images_BCHW.shape[-1] // self.backbone.stride
        embeddings_BQD, boxes_BQ4, image_BD = self.head(
            self.backbone(images_BCHW), (images_BCHW.shape[-2] // self.backbone.stride, side)
        )
        return embeddings_BQD, boxes_BQ4, image_BD

    def phrases(self, table: PhraseTable) -> tuple[Tensor, Tensor]:
        """What any list of words costs, once: rows (P, D) and biases (P,) of the one score, `z . row + bias`."""
        rows_PD, biases_P = self.tokens.phrases(table)
        return (
            self.head.calibration.rows(rows_PD, biases_P)
            if self.head.calibration
            else (rows_PD, biases_P)
        )

    def num_parameters(self) -> dict[str, int]:
        """Parameters by part."""
        return {
            name: sum(p.numel() for p in part.parameters()) for name, part in self.named_children()
        }
