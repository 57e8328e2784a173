"""The detector: one backbone, one head, one vocabulary.

The score of phrase p on region z applies the phrase's token weights to the token logits:

    s(z, p) = z . (w_p E) + w_p . b

It costs one row of a matrix product and does not depend on what else is asked.
"""

from __future__ import annotations

import dataclasses

import torch
from torch import Tensor, nn

from omnidet.model.config import ModelConfig
from omnidet.model.heads import RegionHead, StreamCalibration, TokenTable
from omnidet.schema import Batch, LogPartition, PhraseTable, Predictions


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
        self.predicts_early = False
        """Whether training also wants the predictions of the tokens before the last blocks."""

    def forward(self, batch: Batch) -> Predictions:
        """Everything that the losses need."""
        first, *rest = (self.predict(group) for group in batch.groups())
        return dataclasses.replace(first, more=tuple(rest))

    def predict(self, batch: Batch) -> Predictions:
        """`forward` for images of one size."""
        phrases = self.tokens.in_training(
            batch.phrases.with_tokens(batch.caption_token_BT.flatten())
        )
        if not self.predicts_early:
            return self._predictions(self.regions(batch.images_BCHW), phrases, batch)
        grid = self.backbone.grid(batch.images_BCHW)
        last, before = (
            self._predictions(self.head(tokens_BQW, grid), phrases, batch)
            for tokens_BQW in self.backbone(batch.images_BCHW, early=True)
        )
        return dataclasses.replace(last, early=before)

    def _predictions(
        self,
        regions: tuple[Tensor, Tensor, Tensor],
        phrases: tuple[Tensor, Tensor, LogPartition],
        batch: Batch,
    ) -> Predictions:
        embeddings_BQD, boxes_BQ4, image_BD = regions
        rows_PD, biases_P, log_partition = phrases
        shape, names = batch.caption_token_BT.shape, len(batch.phrases)
        caption_rows_BTD = rows_PD[names:].view(*shape, rows_PD.shape[1])
        caption_biases_BT = biases_P[names:].view(shape)
        rows_PD, biases_P = rows_PD[:names], biases_P[:names]
        # Each image is scored on its own label space alone, so that memory grows with regions x
        # names and not with regions x vocabulary.
        own_BL = batch.name_BL.clamp(min=0)
        # Single precision: the token losses are differences of these scores and other logits.
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
            caption_rows_BTD=caption_rows_BTD,
            caption_biases_BT=caption_biases_BT,
        )

    def regions(self, images_BCHW: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Region embeddings (B, Q, D), boxes cxcywh (B, Q, 4) and image embeddings (B, D).

        This is all that an image costs, whatever is asked about it.
        """
        tokens_BQW = self.backbone(images_BCHW)
        found: tuple[Tensor, Tensor, Tensor] = self.head(
            tokens_BQW, self.backbone.grid(images_BCHW)
        )
        return found

    def phrases(self, table: PhraseTable) -> tuple[Tensor, Tensor]:
        """Rows (P, D) and biases (P,) of the score `z . row + bias`, the same for all images."""
        rows_PD, biases_P = self.tokens.phrases(table)
        if self.head.calibration:
            return self.head.calibration.rows(rows_PD, biases_P)
        return rows_PD, biases_P

    def num_parameters(self) -> dict[str, int]:
        """Number of parameters by part."""
        return {
            name: sum(p.numel() for p in part.parameters()) for name, part in self.named_children()
        }
