"""The one head: patch tokens -> region embeddings and boxes; token table -> rows of phrases."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from omnidet.boxes import MIN_SIDE
from omnidet.model import token_gradients
from omnidet.schema import LogPartition, PhraseTable

PRIOR_SCORE = 0.01
"""Score of any name on any region before training (Lin et al., Focal Loss, arXiv 1708.02002)."""
PRIOR_BIAS = math.log(PRIOR_SCORE / (1 - PRIOR_SCORE))


class RegionHead(nn.Module):
    """An embedding and a box for each patch; the box is predicted relative to the patch's place."""

    def __init__(self, width: int, embedding_width: int, side: int | None = None) -> None:
        """Make the layers, with the prior boxes as the first boxes.

        Args:
            side: patches along a side of the grid that box offsets refer to. On other grids offsets
                are rescaled; None means never.
        """
        super().__init__()
        self.side = side
        self.norm = nn.LayerNorm(width)
        self.embedding = nn.Linear(width, embedding_width)
        self.box = nn.Sequential(
            nn.Linear(width, width),
            nn.GELU(),
            nn.Linear(width, width),
            nn.GELU(),
            nn.Linear(width, 4),
        )
        self.calibration: StreamCalibration | None = None
        last = self.box[-1]
        assert isinstance(last, nn.Linear)
        # A last layer of zeros: the first boxes are the prior itself (OWL-ViT, arXiv 2205.06230).
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)

    def forward(self, tokens_BQW: Tensor, grid: tuple[int, int]) -> tuple[Tensor, Tensor, Tensor]:
        """Patch tokens -> region embeddings (B, Q, D), boxes (B, Q, 4), image embedding (B, D)."""
        tokens_BQW = self.norm(tokens_BQW)
        embeddings_BQD = self.embedding(tokens_BQW).float()
        image_BD = self.embedding(tokens_BQW.mean(1)).float()
        # Single precision: half precision would move boxes in a large image by whole pixels.
        with torch.autocast(tokens_BQW.device.type, enabled=False):
            offsets_BQ4 = self.box(tokens_BQW.float())
        if self.side is not None and grid != (self.side, self.side):
            # An offset is the same number of patches on every grid, as are the prior boxes' sides.
            # One factor at a time, not a tensor of them: an exported model then scales by the grid
            # of its own input, not by that of the images that it was exported with.
            x_BQ1, y_BQ1, sides_BQ2 = offsets_BQ4.split([1, 1, 2], -1)
            offsets_BQ4 = torch.cat(
                [x_BQ1 * (self.side / grid[1]), y_BQ1 * (self.side / grid[0]), sides_BQ2], -1
            )
        boxes_BQ4 = (offsets_BQ4 + _prior_boxes(grid, offsets_BQ4.device)).sigmoid()
        boxes_BQ4 = torch.cat([boxes_BQ4[..., :2], boxes_BQ4[..., 2:].clamp(min=MIN_SIDE)], -1)
        return embeddings_BQD, boxes_BQ4, image_BD


class StreamCalibration(nn.Module):
    """A temperature and a bias for each stream: their losses pull the logits to different scales.

    A stream's scores are `temperature * s + bias`, and its token logits `temperature * l`: a bias
    common to all tokens does not change their softmax. Inference uses the first stream's scores.
    """

    def __init__(self, num_streams: int) -> None:
        super().__init__()
        self.log_temperatures = nn.Parameter(torch.zeros(num_streams))
        self.biases = nn.Parameter(torch.zeros(num_streams))

    def forward(self, stream_BS: Tensor) -> Tensor:
        """Temperature and bias (B, 2) of each image.

        Raises ValueError if the batch has another number of streams.
        """
        if stream_BS.shape[1] != len(self.biases):
            raise ValueError(
                f"model.calibrated_streams={len(self.biases)}, but there are "
                f"{stream_BS.shape[1]} streams: give their number, or 0"
            )
        return stream_BS @ torch.stack([self.log_temperatures.exp(), self.biases], 1)

    def rows(self, rows_PD: Tensor, biases_P: Tensor) -> tuple[Tensor, Tensor]:
        """Rows and biases with which phrases get the first stream's scores."""
        temperature = self.log_temperatures[0].exp()
        return rows_PD * temperature, biases_P * temperature + self.biases[0]


class TokenTable(nn.Module):
    """An embedding and a bias for each token of the vocabulary."""

    def __init__(self, num_tokens: int, embedding_width: int) -> None:
        super().__init__()
        self.embeddings = nn.Parameter(
            torch.randn(num_tokens, embedding_width) * embedding_width**-0.5
        )
        self.biases = nn.Parameter(torch.full((num_tokens,), PRIOR_BIAS))
        self.new_rows = torch.empty(0, dtype=torch.long)
        """Rows of tokens that retraining added; the others are trained already."""
        self._spare: list[Tensor] = []

    def reuse_gradient(self) -> None:
        """Let the embeddings' next gradient reuse the memory of this one; clear it afterwards.

        On a CPU, touching fresh memory takes several times as long as computing what goes into it.
        A GPU's allocator reuses memory by itself.
        """
        gradient = self.embeddings.grad
        self._spare[:] = (
            [gradient] if gradient is not None and gradient.device.type == "cpu" else []
        )

    def phrases(self, table: PhraseTable) -> tuple[Tensor, Tensor]:
        """`w E` (P, D) and `w . b` (P,): one row for a phrase, however large the vocabulary is."""
        return token_gradients.weighted_sums(self.embeddings, table), self._phrase_biases(table)

    def in_training(self, table: PhraseTable) -> tuple[Tensor, Tensor, LogPartition]:
        """`phrases`, and the log-partition over all tokens; the uses share one gradient."""
        rows_PD, log_partition = token_gradients.shared(
            self.embeddings, self.biases, table, self._spare
        )
        return rows_PD, self._phrase_biases(table), log_partition

    def _phrase_biases(self, table: PhraseTable) -> Tensor:
        return token_gradients.weighted_sums(self.biases[:, None], table)[:, 0]


def _prior_boxes(grid: tuple[int, int], device: torch.device) -> Tensor:
    """Logits (Q, 4) of the boxes before training: two patches wide, around each patch's centre."""
    rows, columns = grid
    cy, cx = torch.meshgrid(
        (torch.arange(rows, device=device) + 0.5) / rows,
        (torch.arange(columns, device=device) + 0.5) / columns,
        indexing="ij",
    )
    one = torch.ones((), device=device)  # times a number: see `RegionHead.forward`
    sides = (
        torch.stack([one * (2 / columns), one * (2 / rows)])
        .clamp(max=0.9)
        .expand(rows * columns, 2)
    )
    return torch.cat([torch.stack([cx, cy], -1).flatten(0, 1), sides], -1).logit(eps=1e-4)
