"""OWL-ViT style (Minderer et al., arXiv 2205.06230): one embedding a phrase, by a text encoder.

    score = scale(region) * (cosine(region, phrase) + shift(region))

with the scale and the shift learned from the region, `ELU + 1` keeping the scale above 0. Names by
the sigmoid focal loss, captions by contrast within the batch.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from heads.contrast import ImageScale
from heads.text import TextEncoder, Words
from omnidet.model.config import ModelConfig
from omnidet.model.detector import Detector
from omnidet.model.heads import PRIOR_SCORE, RegionHead

VERSION = 1
"""Changes with what is trained: results of another version are not reused."""
FIRST_SCALE = 10.0
"""With it, a cosine of 1 is a score near 1 from the start. From random weights, OWL-ViT's own
first scale of 1 would keep every score near one half, since it starts from CLIP's."""


class OwlHead(RegionHead):
    """The product's boxes; embeddings with a scale and a shift of each region."""

    def __init__(self, like: RegionHead, width: int, embedding_width: int) -> None:
        super().__init__(width, embedding_width, like.side)
        self.load_state_dict(like.state_dict())  # the same weights to start from
        self.scale, self.shift = nn.Linear(width, 1), nn.Linear(width, 1)
        self.image_scale = ImageScale()
        prior = math.log(PRIOR_SCORE / (1 - PRIOR_SCORE))
        for layer, first in ((self.scale, FIRST_SCALE - 1), (self.shift, prior / FIRST_SCALE)):
            nn.init.zeros_(layer.weight)
            nn.init.constant_(layer.bias, first)

    def forward(self, tokens_BQW: Tensor, grid: tuple[int, int]) -> tuple[Tensor, Tensor, Tensor]:
        """Embeddings (B, Q, D + 1) whose product with a phrase's row is its score."""
        embeddings_BQD, boxes_BQ4, image_BD = super().forward(tokens_BQW, grid)
        normal_BQW = self.norm(tokens_BQW)
        scale_BQ1 = functional.elu(self.scale(normal_BQW).float()) + 1
        shift_BQ1 = self.shift(normal_BQW).float()
        unit_BQD = functional.normalize(embeddings_BQD, dim=-1)
        embeddings_BQE = torch.cat([unit_BQD * scale_BQ1, shift_BQ1 * scale_BQ1], -1)
        return embeddings_BQE, boxes_BQ4, functional.pad(self.image_scale(image_BD), (0, 1))


class OwlText(TextEncoder):
    """Phrases as unit vectors, and a 1 for the shift."""

    def rows(self, words: Words) -> Tensor:
        """(P, D + 1)."""
        return functional.pad(super().rows(words), (0, 1), value=1.0)


def build(config: ModelConfig, num_tokens: int) -> Detector:
    """The detector, its backbone and box head with the weights of ours of the same seed."""
    detector = Detector(config, num_tokens)
    width = detector.backbone.width
    detector.head = OwlHead(detector.head, width, config.embedding_width)
    detector.tokens = OwlText(num_tokens, width, config.embedding_width)
    return detector
