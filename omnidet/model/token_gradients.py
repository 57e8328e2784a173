"""Uses of the token table that share one gradient.

A training step uses the table for the rows of the batch's phrases, for the softmax at matched
regions and for the softmax of captions. Autograd makes a gradient of the table's size for each use
and adds them up: with 300,000 tokens, this is most of what a step costs more than with 30,000.
`shared` makes one gradient for all uses. `plain` leaves it to autograd; the tests compare the two.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from omnidet.schema import LogPartition, PhraseTable


def weighted_sums(values_TD: Tensor, phrases: PhraseTable) -> Tensor:
    """The weighted sum of each phrase's token rows, (P, D)."""
    return functional.embedding_bag(
        phrases.token_ids_K,
        values_TD,
        phrases.offsets_P,
        per_sample_weights=phrases.weights_K,
        mode="sum",
    )


def plain(table_TD: Tensor, biases_T: Tensor, phrases: PhraseTable) -> tuple[Tensor, LogPartition]:
    """Rows (P, D) of the phrases and the log-partition over all tokens, left to autograd."""

    def log_partition(embeddings_MD: Tensor, temperatures_M: Tensor | None = None) -> Tensor:
        logits_MT = embeddings_MD @ table_TD.T + biases_T
        if temperatures_M is not None:
            logits_MT = logits_MT * temperatures_M[:, None]
        return logits_MT.logsumexp(1)

    return weighted_sums(table_TD, phrases), log_partition


def shared(
    table_TD: Tensor, biases_T: Tensor, phrases: PhraseTable, spare: list[Tensor]
) -> tuple[Tensor, LogPartition]:
    """What `plain` returns, with one gradient of the table for all of its uses.

    Args:
        spare: memory of the table's shape that the gradient may take; taken out of the list when
            used.
    """
    uses: list[tuple[Tensor, Tensor]] = []
    rows_PD, used_TD = _Rows.apply(
        table_TD, phrases.token_ids_K, phrases.weights_K, phrases.offsets_P, uses, spare
    )

    def log_partition(embeddings_MD: Tensor, temperatures_M: Tensor | None = None) -> Tensor:
        if temperatures_M is None:
            temperatures_M = embeddings_MD.new_ones(len(embeddings_MD))
        scaled_MD = embeddings_MD * temperatures_M[:, None]
        logs_M: Tensor = _LogPartition.apply(scaled_MD, temperatures_M, used_TD, biases_T, uses)
        return logs_M

    return rows_PD, log_partition


class _Rows(torch.autograd.Function):
    """Weighted sums (P, D) of each phrase's token rows, and the table itself for `_LogPartition`.

    The backward of every `_LogPartition` runs before this one's, since it depends on the table that
    this function returns. Each leaves in `uses` the two factors of its gradient of the table, and
    this one multiplies them all at once.
    """

    @staticmethod
    def forward(
        ctx: Any,
        table_TD: Tensor,
        ids_K: Tensor,
        weights_K: Tensor,
        offsets_P: Tensor,
        uses: list[tuple[Tensor, Tensor]],
        spare: list[Tensor],
    ) -> tuple[Tensor, Tensor]:
        ctx.save_for_backward(ids_K, weights_K, offsets_P)
        ctx.shape, ctx.uses, ctx.spare = table_TD.shape, uses, spare
        ctx.set_materialize_grads(False)
        rows_PD = weighted_sums(table_TD, PhraseTable(ids_K, weights_K, offsets_P))
        return rows_PD, table_TD.view_as(table_TD)

    @staticmethod
    def backward(ctx: Any, rows_PD: Tensor | None, _: Tensor | None) -> tuple[Tensor | None, ...]:
        ids_K, weights_K, offsets_P = ctx.saved_tensors
        if ctx.uses:
            shares_MT, embeddings_MD = (torch.cat(parts) for parts in zip(*ctx.uses, strict=True))
            out = ctx.spare.pop() if ctx.spare else None
            table_TD = torch.mm(shares_MT.T, embeddings_MD, out=out)
            ctx.uses.clear()
        else:
            table_TD = weights_K.new_zeros(ctx.shape)
        if rows_PD is not None:
            places_K = torch.arange(len(ids_K), device=ids_K.device)
            phrase_K = torch.bucketize(places_K, offsets_P, right=True) - 1
            table_TD.index_add_(0, ids_K, rows_PD[phrase_K] * weights_K[:, None])
        return table_TD, None, None, None, None, None


class _LogPartition(torch.autograd.Function):
    """`logsumexp(z .

    E_t + temperature * b_t)` (M,) over all tokens t; `_Rows` makes the gradient of E.

    The (M, T) numbers of the softmax exist once: with a large vocabulary, several such tensors
    would take gigabytes.
    """

    @staticmethod
    def forward(
        ctx: Any,
        embeddings_MD: Tensor,
        temperatures_M: Tensor,
        table_TD: Tensor,
        biases_T: Tensor,
        uses: list[tuple[Tensor, Tensor]],
    ) -> Tensor:
        shares_MT = (embeddings_MD @ table_TD.T).addcmul_(temperatures_M[:, None], biases_T)
        largest_M1 = shares_MT.amax(1, keepdim=True)
        sums_M1 = shares_MT.sub_(largest_M1).exp_().sum(1, keepdim=True)
        ctx.save_for_backward(
            embeddings_MD, temperatures_M, table_TD, biases_T, shares_MT.div_(sums_M1)
        )
        ctx.uses = uses
        return (largest_M1 + sums_M1.log())[:, 0]

    @staticmethod
    def backward(ctx: Any, logs_M: Tensor) -> tuple[Tensor | None, ...]:
        embeddings_MD, temperatures_M, table_TD, biases_T, shares_MT = ctx.saved_tensors
        ctx.uses.append((shares_MT, logs_M[:, None] * embeddings_MD))
        return (
            logs_M[:, None] * (shares_MT @ table_TD),
            logs_M * (shares_MT @ biases_T),
            None,
            (logs_M * temperatures_M) @ shares_MT,
            None,
        )
