"""The one head: patch tokens -> region embeddings and boxes; token embeddings; the score of a phrase."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from omnidet.boxes import MIN_SIDE
from omnidet.schema import LogPartition, PhraseTable

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
            offsets_BQ4 = offsets_BQ4 * offsets_BQ4.new_tensor(
                [self.side / grid[1], self.side / grid[0], 1.0, 1.0]
            )
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
        self.embeddings = nn.Parameter(
            torch.randn(num_tokens, embedding_width) * embedding_width**-0.5
        )
        self.biases = nn.Parameter(
            torch.full((num_tokens,), math.log(PRIOR_SCORE / (1 - PRIOR_SCORE)))
        )
        self.new_rows = torch.empty(0, dtype=torch.long)
        """Rows of tokens that a retraining has added; the others come trained."""
        self._spare: list[Tensor] = []

    def reuse_gradient(self) -> None:
        """Let the next gradient of the embeddings take the memory of the one that is there, which must be cleared before.

        Fresh memory costs a CPU several times what it computes in it; a GPU's allocator reuses it by itself.
        """
        gradient = self.embeddings.grad
        self._spare[:] = (
            [gradient] if gradient is not None and gradient.device.type == "cpu" else []
        )

    def phrases(self, table: PhraseTable) -> tuple[Tensor, Tensor]:
        """`w E` (P, D) and `w . b` (P,): a phrase costs one row, however many tokens the vocabulary has."""
        return _weighted_sums(self.embeddings, table), _weighted_sums(self.biases[:, None], table)[
            :, 0
        ]

    def in_training(self, table: PhraseTable) -> tuple[Tensor, Tensor, LogPartition]:
        """The same, and the log-partition of all tokens: all of it has one gradient of the table's size."""
        asked: list[tuple[Tensor, Tensor]] = []
        ids_K, weights_K, offsets_P = table.token_ids_K, table.weights_K, table.offsets_P
        rows_PD, embeddings_TD = _Rows.apply(
            self.embeddings, ids_K, weights_K, offsets_P, asked, self._spare
        )

        def log_partition(embeddings_MD: Tensor, temperatures_M: Tensor | None = None) -> Tensor:
            if temperatures_M is None:
                temperatures_M = embeddings_MD.new_ones(len(embeddings_MD))
            logs_M: Tensor = _LogPartition.apply(
                embeddings_MD * temperatures_M[:, None],
                temperatures_M,
                embeddings_TD,
                self.biases,
                asked,
            )
            return logs_M

        return rows_PD, _weighted_sums(self.biases[:, None], table)[:, 0], log_partition


def _weighted_sums(values_TD: Tensor, table: PhraseTable) -> Tensor:
    return functional.embedding_bag(
        table.token_ids_K,
        values_TD,
        table.offsets_P,
        per_sample_weights=table.weights_K,
        mode="sum",
    )


class _Rows(torch.autograd.Function):
    """Weighted sums (P, D) of the rows of each phrase's tokens, and the table itself for `_LogPartition`.

    Each use of a table has a gradient of the table's size, and autograd adds them: with 300,000 tokens most of what a step
    costs more than with 30,000. Here the uses leave what their gradients are made of in `asked`, and all are made as one.
    """

    @staticmethod
    def forward(
        ctx: Any,
        table_TD: Tensor,
        ids_K: Tensor,
        weights_K: Tensor,
        offsets_P: Tensor,
        asked: list[tuple[Tensor, Tensor]],
        spare: list[Tensor],
    ) -> tuple[Tensor, Tensor]:
        ctx.save_for_backward(ids_K, weights_K, offsets_P)
        ctx.shape, ctx.asked, ctx.spare = table_TD.shape, asked, spare
        ctx.set_materialize_grads(False)
        rows_PD = functional.embedding_bag(
            ids_K, table_TD, offsets_P, per_sample_weights=weights_K, mode="sum"
        )
        return rows_PD, table_TD.view_as(table_TD)

    @staticmethod
    def backward(ctx: Any, rows_PD: Tensor | None, _: Tensor | None) -> tuple[Tensor | None, ...]:
        ids_K, weights_K, offsets_P = ctx.saved_tensors
        if ctx.asked:
            shares_MT, embeddings_MD = (torch.cat(parts) for parts in zip(*ctx.asked, strict=True))
            table_TD = torch.mm(
                shares_MT.T, embeddings_MD, out=ctx.spare.pop() if ctx.spare else None
            )
            ctx.asked.clear()
        else:
            table_TD = weights_K.new_zeros(ctx.shape)
        if rows_PD is not None:
            row_K = (
                torch.bucketize(
                    torch.arange(len(ids_K), device=ids_K.device), offsets_P, right=True
                )
                - 1
            )
            table_TD.index_add_(0, ids_K, rows_PD[row_K] * weights_K[:, None])
        return table_TD, None, None, None, None, None


class _LogPartition(torch.autograd.Function):
    """`logsumexp(z . E_t + temperature * b_t)` (M,) over all tokens t; `_Rows` makes the gradient of the table.

    The (M, T) numbers of the softmax are there once: of several such tensors a large vocabulary would make gigabytes.
    """

    @staticmethod
    def forward(
        ctx: Any,
        embeddings_MD: Tensor,
        temperatures_M: Tensor,
        table_TD: Tensor,
        biases_T: Tensor,
        asked: list[tuple[Tensor, Tensor]],
    ) -> Tensor:
        shares_MT = (embeddings_MD @ table_TD.T).addcmul_(temperatures_M[:, None], biases_T)
        largest_M1 = shares_MT.amax(1, keepdim=True)
        sums_M1 = shares_MT.sub_(largest_M1).exp_().sum(1, keepdim=True)
        ctx.save_for_backward(
            embeddings_MD, temperatures_M, table_TD, biases_T, shares_MT.div_(sums_M1)
        )
        ctx.asked = asked
        return (largest_M1 + sums_M1.log())[:, 0]

    @staticmethod
    def backward(ctx: Any, logs_M: Tensor) -> tuple[Tensor | None, ...]:
        embeddings_MD, temperatures_M, table_TD, biases_T, shares_MT = ctx.saved_tensors
        ctx.asked.append((shares_MT, logs_M[:, None] * embeddings_MD))
        own_M = logs_M * temperatures_M
        return (
            logs_M[:, None] * (shares_MT @ table_TD),
            logs_M * (shares_MT @ biases_T),
            None,
            own_M @ shares_MT,
            None,
        )


def _prior_boxes(grid: tuple[int, int], device: torch.device) -> Tensor:
    """Logits (Q, 4) of boxes around each patch's centre, two patches wide: where a patch looks before it is trained."""
    rows, columns = grid
    cy, cx = torch.meshgrid(
        (torch.arange(rows, device=device) + 0.5) / rows,
        (torch.arange(columns, device=device) + 0.5) / columns,
        indexing="ij",
    )
    sides = (
        torch.tensor([2 / columns, 2 / rows], device=device)
        .clamp(max=0.9)
        .expand(rows * columns, 2)
    )
    return torch.cat([torch.stack([cx, cy], -1).flatten(0, 1), sides], -1).logit(eps=1e-4)
