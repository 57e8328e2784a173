"""The one head: patch tokens -> region embeddings and boxes; token embeddings; the score of a phrase."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from omnidet.boxes import MIN_SIDE
from omnidet.schema import PhraseTable

PRIOR_SCORE = 0.01
"""Probability that any name has on any region before training (Lin et al., Focal Loss, arXiv 1708.02002)."""


class RegionHead(nn.Module):
    """What each patch says: an embedding, and a box beside its own place."""

    def __init__(self, width: int, embedding_width: int, side: int | None = None) -> None:
        """`side`: patches along a side of the grid that the box offsets are meant for; on another grid they are rescaled."""
        super().__init__()
        self.side = side
        self.norm = nn.LayerNorm(width)
        self.embedding = nn.Linear(width, embedding_width)
        self.box = nn.Sequential(nn.Linear(width, width), nn.GELU(), nn.Linear(width, width), nn.GELU(), nn.Linear(width, 4))
        self.calibration: StreamCalibration | None = None
        last = self.box[-1]
        assert isinstance(last, nn.Linear)
        # The first boxes are the prior itself (OWL-ViT, arXiv 2205.06230, zero-initialised last layer).
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)

    def forward(self, tokens_BQW: Tensor, grid: tuple[int, int]) -> tuple[Tensor, Tensor, Tensor]:
        """Patch tokens -> region embeddings (B, Q, D), boxes cxcywh (B, Q, 4), image embedding (B, D)."""
        tokens_BQW = self.norm(tokens_BQW)
        embeddings_BQD = self.embedding(tokens_BQW).float()
        image_BD = self.embedding(tokens_BQW.mean(1)).float()
        # In single precision: half precision moves a box of a large image by whole pixels.
        with torch.autocast(tokens_BQW.device.type, enabled=False):
            offsets_BQ4 = self.box(tokens_BQW.float())
        if self.side is not None and grid != (self.side, self.side):
            # An offset stands for the same way in patches on every grid, as the sides of the prior boxes do.
            offsets_BQ4 = offsets_BQ4 * offsets_BQ4.new_tensor([self.side / grid[1], self.side / grid[0], 1.0, 1.0])
        boxes_BQ4 = (offsets_BQ4 + _prior_boxes(grid, offsets_BQ4.device)).sigmoid()
        boxes_BQ4 = torch.cat([boxes_BQ4[..., :2], boxes_BQ4[..., 2:].clamp(min=MIN_SIDE)], -1)
        return embeddings_BQD, boxes_BQ4, image_BD


class StreamCalibration(nn.Module):
    """A temperature and a bias for each stream: the streams' losses pull the same logits to different scales.

    A stream's scores are `temperature * s + bias`, its token logits `temperature * l`: a bias common to all tokens does not
    change their softmax. At inference there is one score, that of the first stream.
    """

    def __init__(self, num_streams: int) -> None:
        super().__init__()
        self.log_temperatures = nn.Parameter(torch.zeros(num_streams))
        self.biases = nn.Parameter(torch.zeros(num_streams))

    def forward(self, stream_BS: Tensor) -> Tensor:
        """Temperature and bias (B, 2) of each image. Raises ValueError for another number of streams."""
        if stream_BS.shape[1] != len(self.biases):
            raise ValueError(
                f"model.calibrated_streams={len(self.biases)}, but there are {stream_BS.shape[1]} streams: "
                "give their number, or 0"
            )
        return stream_BS @ torch.stack([self.log_temperatures.exp(), self.biases], 1)

    def rows(self, rows_PD: Tensor, biases_P: Tensor) -> tuple[Tensor, Tensor]:
        """Rows and biases of phrases that give the first stream's scores."""
        temperature = self.log_temperatures[0].exp()
        return rows_PD * temperature, biases_P * temperature + self.biases[0]


class TokenTable(nn.Module):
    """An embedding and a bias for each token of the vocabulary."""

    def __init__(self, num_tokens: int, embedding_width: int) -> None:
        super().__init__()
        self.embeddings = nn.Parameter(torch.randn(num_tokens, embedding_width) * embedding_width**-0.5)
        self.biases = nn.Parameter(torch.full((num_tokens,), math.log(PRIOR_SCORE / (1 - PRIOR_SCORE))))
        self.new_rows = torch.empty(0, dtype=torch.long)
        """Rows of tokens that a retraining has added; the others come trained."""

    def phrases(self, table: PhraseTable) -> tuple[Tensor, Tensor]:
        """`w E` (P, D) and `w . b` (P,): a phrase costs one row, however many tokens the vocabulary has."""
        rows_PD = functional.embedding_bag(
            table.token_ids_K, self.embeddings, table.offsets_P, per_sample_weights=table.weights_K, mode="sum"
        )
        biases_P1 = functional.embedding_bag(
            table.token_ids_K, self.biases[:, None], table.offsets_P, per_sample_weights=table.weights_K, mode="sum"
        )
        return rows_PD, biases_P1[:, 0]


def _prior_boxes(grid: tuple[int, int], device: torch.device) -> Tensor:
    """Logits (Q, 4) of boxes around each patch's centre, two patches wide: where a patch looks before it is trained."""
    rows, columns = grid
    cy, cx = torch.meshgrid(
        (torch.arange(rows, device=device) + 0.5) / rows, (torch.arange(columns, device=device) + 0.5) / columns, indexing="ij"
    )
    sides = torch.tensor([2 / columns, 2 / rows], device=device).clamp(max=0.9).expand(rows * columns, 2)
    return torch.cat([torch.stack([cx, cy], -1).flatten(0, 1), sides], -1).logit(eps=1e-4)
