"""Upper bounds of scores for many names made of few tokens, without a product for each name.

A name's row is the weighted mean of its tokens' rows. So its score is that of its tokens, and what
its own bias adds:

    z . row_p + bias_p  =  sum of w_k (z . token_k + bias_k)  +  rest_p

The tokens' biases are chosen so that no rest is above 0. Then a name can reach the bar only if one
of its tokens does. The product is one of regions and tokens, and the few pairs of it that reach the
bar lead to the names that are worth a sum. If they lead to a large part of all names, as things in
a picture do where all names speak of them, the region's sums for all names are cheaper.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from omnidet.inference.bounds import BLOCK, not_negative
from omnidet.schema import PhraseTable

LEAST_NAMES = 4096
"""So few names are quick to multiply."""
NAMES_PER_TOKEN = 2
"""So many times fewer tokens than names there must be: a token costs a little more than a name."""
PAIRS_AT_ONCE = 1600 * 4096
"""Numbers in one product or in one block of sums: what memory grows with."""
NAMES_AT_ONCE = 32_768
"""Names whose bounds are summed together."""
CROWD = 64
"""A region whose tokens lead to more than this part of the names is summed for all of them."""
MOST_TOKENS = 64
"""A longer name counts as a token of its own, so that the rounding of sums stays small."""

# What a product may lose as a share of |z| |token|: in its sums, which are in single precision; and
# in operands that are rounded to bfloat16. Where a processor multiplies that, a caller may have
# allowed it for single precision; elsewhere nobody can.
_LOST_IN_SUMS = 2.0**-14
_LOST_IN_PRODUCTS = 2.0**-7
_ROUNDING_UP = 1 + 2.0**-6
_LOST_IN_DOUBLES = 2.0**-40
_LEAST_FIT = 2.0**-12
"""A name whose row is further from its tokens, as a share of its length, is one of its own."""


@dataclass(frozen=True, eq=False)
class SharedTokens:
    """The names as weighted means of T tokens; K (name, token) pairs, in the order of the names."""

    rows_TW: Tensor
    """Row, length rounded up, and bias in three parts, then ones for the bar. T is whole blocks."""
    tokens_K: Tensor
    weights_K: Tensor
    """float64, positive; those of a name sum to 1."""
    firsts_P: Tensor
    """Where each name begins in the two above."""
    counts_P: Tensor
    rests_P: Tensor
    """float64, not above 0."""
    names_K: Tensor
    """The names in the order of the tokens."""
    first_names_T: Tensor
    uses_T: Tensor
    """How many names have the token."""

    @property
    def pays(self) -> bool:
        """Whether the product with the tokens is cheaper than that with the names."""
        return len(self.uses_T) * NAMES_PER_TOKEN <= len(self.rests_P)

    def candidates(
        self, embeddings_QD: Tensor, bar: Callable[[], float], in_bfloat16: bool
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """All pairs whose scores may reach the bar, as places, and upper bounds of their scores.

        They come in parts, and a pair may come more than once. A place is region * P + name.

        Args:
            bar: the least score that counts by now; it may rise between two parts.
            in_bfloat16: whether the product is in bfloat16.
        """
        step = max(1, PAIRS_AT_ONCE // len(self.rows_TW))
        lost = _LOST_IN_SUMS + (_LOST_IN_PRODUCTS if in_bfloat16 else 0.0)
        lost_Q1 = embeddings_QD.norm(dim=1, keepdim=True) * (lost * _ROUNDING_UP)
        left_QV = torch.cat([embeddings_QD, lost_Q1], 1)
        rows_TW = self.rows_TW.bfloat16() if in_bfloat16 else self.rows_TW
        first, size = 0, max(1, min(step, len(embeddings_QD)) // 8)  # the first ones raise the bar
        while first < len(embeddings_QD):
            for region, name, bound in self._of(left_QV[first : first + size], rows_TW, bar):
                yield (region + first) * len(self.rests_P) + name, bound
            first, size = first + size, step

    def _of(
        self, left_QV: Tensor, rows_TW: Tensor, bar: Callable[[], float]
    ) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
        """Regions, names and bounds of the candidates among some regions."""
        least = bar()
        minus = torch.tensor([[-least + abs(least) * _LOST_IN_SUMS]], dtype=torch.float64)
        ones = torch.ones(1, 3)
        columns = torch.cat([ones, _in_parts(minus)], 1).expand(len(left_QV), -1)
        # Upper bounds of the tokens' scores minus the bar.
        over_QT = torch.cat([left_QV, columns], 1).to(rows_TW.dtype) @ rows_TW.T
        reached_Q, pairs = self.uses_T.new_zeros(len(over_QT)), []
        for flat in not_negative(over_QT):
            region, token = flat // over_QT.shape[1], flat % over_QT.shape[1]
            reached_Q.index_add_(0, region, self.uses_T[token])
            alone = reached_Q[region] <= len(self.rests_P) // CROWD
            pairs.append((region[alone], token[alone]))
        crowded_Q = reached_Q > len(self.rests_P) // CROWD
        region, token = (torch.cat(parts) for parts in zip(*pairs, strict=True))
        alone = ~crowded_Q[region]
        region, token = region[alone], token[alone]
        reached = self.uses_T[token].cumsum(0)
        every = torch.arange(1, int(reached[-1:].sum()) // NAMES_AT_ONCE + 1) * NAMES_AT_ONCE
        cuts = torch.searchsorted(reached, every).tolist()
        for some, these in zip(region.tensor_split(cuts), token.tensor_split(cuts), strict=True):
            yield self._with_these(over_QT, some, these, least)
        crowd = crowded_Q.nonzero()[:, 0]
        if len(crowd):
            over_TQ = _above(over_QT[crowd].T.contiguous())
            for place, name, bound in self._all_names(over_TQ, least, bar):
                yield crowd[place], name, bound

    def _with_these(
        self, over_QT: Tensor, region: Tensor, token: Tensor, least: float
    ) -> tuple[Tensor, Tensor, Tensor]:
        """The candidates among the names that have the token of one of these pairs."""
        pair, use = _spread(self.first_names_T[token], self.uses_T[token])
        # A name may come from two of its tokens.
        place = torch.unique(region[pair] * len(self.rests_P) + self.names_K[use])
        region, name = place // len(self.rests_P), place % len(self.rests_P)
        pair, use = _spread(self.firsts_P[name], self.counts_P[name])
        over = over_QT.flatten()[region[pair] * over_QT.shape[1] + self.tokens_K[use]]
        bound = self.rests_P[name].index_add(0, pair, _above(over) * self.weights_K[use])
        keep = bound >= 0
        return region[keep], name[keep], bound[keep] + least

    def _all_names(
        self, over_TQ: Tensor, least: float, bar: Callable[[], float]
    ) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
        """The candidates of a few regions among all names."""
        step = max(BLOCK, PAIRS_AT_ONCE // over_TQ.shape[1] // BLOCK * BLOCK)
        for first in range(0, len(self.rests_P), step):
            firsts = self.firsts_P[first : first + step]
            begin, end = int(firsts[0]), int(firsts[-1] + self.counts_P[first : first + step][-1])
            now = bar()
            rests = self.rests_P[first : first + step] + (least - now)
            rests = rests + rests.abs() * _LOST_IN_SUMS
            over_PQ = functional.embedding_bag(
                self.tokens_K[begin:end],
                over_TQ,
                firsts - begin,
                per_sample_weights=self.weights_K[begin:end].float(),
                mode="sum",
            ).add_(rests.float()[:, None])
            for flat in not_negative(over_PQ):
                bound = over_PQ.flatten()[flat].double() * (1 + _LOST_IN_SUMS) + now
                yield flat % over_PQ.shape[1], flat // over_PQ.shape[1] + first, bound


def share(
    table: PhraseTable,
    rows_PD: Tensor,
    biases_P: Tensor,
    scored: Callable[[PhraseTable], tuple[Tensor, Tensor]],
) -> SharedTokens | None:
    """The tokens of these names, or None if there are too many of them, or few names.

    Args:
        scored: rows and biases of any phrases; here, of single tokens.
    """
    if len(table) < LEAST_NAMES or rows_PD.device.type != "cpu":
        return None
    used_T, tokens_K = torch.unique(table.token_ids_K, return_inverse=True)
    if len(used_T) * NAMES_PER_TOKEN > len(table):
        return None
    alone = PhraseTable(used_T, torch.ones(len(used_T)), torch.arange(len(used_T)))
    token_rows_TD, token_biases_T = scored(alone)
    ends_P = torch.cat([table.offsets_P[1:], torch.tensor([len(tokens_K)])])
    counts_P = ends_P - table.offsets_P
    name_K = torch.repeat_interleave(counts_P)
    sums_P = rows_PD.new_zeros(len(table), dtype=torch.float64)
    weights_K = table.weights_K.double()
    weights_K = weights_K / sums_P.index_add(0, name_K, weights_K)[name_K]
    lost_P = _lost(rows_PD, token_rows_TD, tokens_K, weights_K, table.offsets_P)
    # What is not the mean of a few tokens is one of its own.
    negative_P = sums_P.index_add(0, name_K, (~(weights_K > 0)).double()) > 0
    fits_P = (counts_P > 0) & (counts_P <= MOST_TOKENS) & ~negative_P
    fits_P &= lost_P <= rows_PD.norm(dim=1).double() * _LEAST_FIT
    kept_K, other = fits_P[name_K], (~fits_P).nonzero()[:, 0]
    name_K, order = torch.cat([name_K[kept_K], other]).sort(stable=True)
    tokens_K = torch.cat([tokens_K[kept_K], len(used_T) + torch.arange(len(other))])[order]
    weights_K = torch.cat([weights_K[kept_K], torch.ones(len(other))])[order]
    return _sorted(
        torch.cat([token_rows_TD, rows_PD[other]]),
        torch.cat([token_biases_T, biases_P[other]]).double(),
        (name_K, tokens_K, weights_K),
        biases_P.double(),
        lost_P.where(fits_P, 0.0),
    )


def _sorted(
    rows_TD: Tensor,
    biases_T: Tensor,
    pairs: tuple[Tensor, Tensor, Tensor],
    biases_P: Tensor,
    lost_P: Tensor,
) -> SharedTokens:
    """What a search needs, from the tokens and the (name, token, weight) of all pairs."""
    name_K, tokens_K, weights_K = pairs
    none_T, none_P = torch.zeros_like(biases_T), torch.zeros_like(biases_P)
    rests_P = biases_P - none_P.index_add(0, name_K, weights_K * biases_T[tokens_K])
    # Each token takes the largest rest of its names.
    most_T = (none_T - math.inf).scatter_reduce(0, tokens_K, rests_P[name_K], "amax")
    biases_T = torch.where(most_T.isfinite(), biases_T + most_T, biases_T)
    rests_P = biases_P - none_P.index_add(0, name_K, weights_K * biases_T[tokens_K])
    lost_T = none_T.scatter_reduce(0, tokens_K, lost_P[name_K], "amax")
    # Regions are multiplied by a share of this, so what the names' rows lost is divided by it.
    length_T = (rows_TD.double().norm(dim=1) + lost_T / _LOST_IN_SUMS) * _ROUNDING_UP
    above_T = biases_T + biases_T.abs() * _LOST_IN_SUMS + torch.finfo(torch.float32).tiny
    rows_TW = torch.cat(
        [
            rows_TD,
            length_T[:, None].float(),
            _in_parts(above_T[:, None]),
            torch.ones(len(above_T), 3),
        ],
        1,
    )
    padding = -len(rows_TW) % BLOCK
    rows_TW = functional.pad(rows_TW, (0, 0, 0, padding))
    rows_TW[len(above_T) :, rows_TD.shape[1] + 1] = -1e30  # under any bar
    counts_P = torch.bincount(name_K, minlength=len(biases_P))
    uses_T = torch.bincount(tokens_K, minlength=len(biases_T))
    return SharedTokens(
        rows_TW,
        tokens_K,
        weights_K,
        counts_P.cumsum(0) - counts_P,
        counts_P,
        rests_P + rests_P.abs() * _LOST_IN_DOUBLES,
        name_K[tokens_K.sort(stable=True).indices],
        uses_T.cumsum(0) - uses_T,
        uses_T,
    )


def _lost(
    rows_PD: Tensor,
    token_rows_TD: Tensor,
    tokens_K: Tensor,
    weights_K: Tensor,
    offsets_P: Tensor,
    step: int = 4096,
) -> Tensor:
    """How far each row is from the mean of its tokens' rows, (P,) float64."""
    ends = [*offsets_P[step::step].tolist(), len(tokens_K)]
    token_rows_TD, begin, lost = token_rows_TD.double(), 0, []
    for rows, offsets, end in zip(
        torch.split(rows_PD, step), torch.split(offsets_P, step), ends, strict=True
    ):
        means = functional.embedding_bag(
            tokens_K[begin:end],
            token_rows_TD,
            offsets - begin,
            per_sample_weights=weights_K[begin:end],
            mode="sum",
        )
        lost.append((rows.double() - means).norm(dim=1))
        begin = end
    return torch.cat(lost)


def _in_parts(values_N1: Tensor) -> Tensor:
    """Three numbers (N, 3) that add up to each, of so few digits that no product rounds them."""
    parts = []
    for _ in range(3):
        parts.append(values_N1.to(torch.bfloat16).float())
        values_N1 = values_N1 - parts[-1].double()
    return torch.cat(parts, 1)


def _above(values: Tensor) -> Tensor:
    """In single precision, and not below what was rounded to bfloat16."""
    if values.dtype == torch.float32:
        return values
    return values.float() + values.float().abs() * _LOST_IN_PRODUCTS


def _spread(firsts_N: Tensor, counts_N: Tensor) -> tuple[Tensor, Tensor]:
    """For each of `counts_N[i]` places from `firsts_N[i]` on: i, and the place."""
    owner = torch.repeat_interleave(counts_N)
    return owner, torch.arange(len(owner)) + (firsts_N - counts_N.cumsum(0) + counts_N)[owner]
