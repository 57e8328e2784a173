"""The best (region, name) pairs of an image among any number of names: exact, fast, bounded memory.

    all pairs --fast product: an upper bound of each score--> the few that may be among the best
              --exact score--> the best

The exact score of a pair is summed in an order that depends only on the width of an embedding. So
it is the same to the bit, whatever else is asked. The fast product is computed in bfloat16 if the
processor can multiply it. What rounding may hide is added to the product by the Cauchy-Schwarz
inequality, `|z.r - z'.r'| <= |z - z'| |r| + |z'| |r - r'|`, so no pair is lost.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional

from omnidet.inference.bounds import BLOCK, not_negative
from omnidet.inference.shared_tokens import SharedTokens

FIRST_NAMES = 256
NAMES_AT_ONCE = 4096
"""Names in one product: memory grows with regions x this, however many names there are. The first
product is smaller: it sets the bar for the next ones."""
FEW_PAIRS = 16_384
"""So few pairs are not worth the fast product: one in double precision has next to no rounding."""
EXACT_AT_ONCE = 16_384
"""Pairs whose exact scores are computed together."""
SIGMOIDS_AT_ONCE = 1024

# What a backend may lose, as a share of |z| |r|, beyond the rounding of bfloat16 operands: sums are
# in single precision. If the operands are in single precision, their rounding comes on top, since a
# caller may have allowed TF32 or bfloat16 products.
_LOST_IN_SUMS = 2.0**-14
_LOST_IN_PRODUCTS = 2.0**-8
_LOST_IN_DOUBLES = 2.0**-40
_ROUNDING_UP = 1 + 2.0**-7


@torch.inference_mode()
def best_pairs(
    embeddings_QD: Tensor,
    rows_PD: Tensor,
    biases_P: Tensor,
    count: int,
    shared: SharedTokens | None = None,
) -> tuple[Tensor, Tensor, Tensor]:
    """The best `count` pairs, best first; pairs of equal score are in order of region, then name.

    They are the same pairs, in the same order, as if all pairs had been scored exactly.

    Args:
        shared: the tokens of the names, where they are far fewer: it saves time and changes
            nothing else.

    Returns:
        Probabilities (K,) float32, regions (K,) and names (K,).
    """
    if count < 1 or not len(rows_PD):
        nothing = torch.zeros(0, dtype=torch.int64, device=embeddings_QD.device)
        return nothing.float(), nothing, nothing
    if len(embeddings_QD) * len(rows_PD) <= FEW_PAIRS:
        logits, places = _best_of_few(embeddings_QD, rows_PD, biases_P, count)
        return probabilities(logits), places // len(rows_PD), places % len(rows_PD)
    search = _Search(embeddings_QD.float(), rows_PD.float(), biases_P.float(), count)
    first, step = 0, FIRST_NAMES
    search.prepare()
    while first < len(rows_PD):
        search.look_at(first, min(first + step, len(rows_PD)))
        first, step = first + step, NAMES_AT_ONCE
        if shared and shared.pays and search.has_bar:
            for places, bounds in shared.candidates(
                search.embeddings_QD, lambda: search.bar, search.type == torch.bfloat16
            ):
                search.consider(places, bounds)
            break
    return probabilities(search.logits), search.places // len(rows_PD), search.places % len(rows_PD)


def exact_logits(embeddings_KD: Tensor, rows_KD: Tensor, biases_K: Tensor) -> Tensor:
    """Scores `z . row + bias` (K,) of K pairs in double precision.

    Each is independent of the others to the bit.
    """
    products_KW = embeddings_KD.double() * rows_KD.double()
    width = 1 << (products_KW.shape[1] - 1).bit_length()
    products_KW = functional.pad(products_KW, (0, width - products_KW.shape[1]))
    # Add the halves element by element: the order of a library's sum depends on the number of rows.
    while width > 1:
        width //= 2
        products_KW = products_KW[:, :width] + products_KW[:, width:]
    return products_KW[:, 0] + biases_K.double()


def probabilities(logits_K: Tensor) -> Tensor:
    """Sigmoid in single precision, the same to the bit for the same logit.

    Blocks of a fixed length make it so: at the end of an odd row, or of a thread's share, other
    instructions compute it.
    """
    padded_K = functional.pad(logits_K, (0, -len(logits_K) % SIGMOIDS_AT_ONCE))
    blocks = [block.sigmoid() for block in torch.split(padded_K, SIGMOIDS_AT_ONCE)]
    return torch.cat(blocks)[: len(logits_K)].float() if blocks else logits_K.float()


def _best_of_few(
    embeddings_QD: Tensor, rows_PD: Tensor, biases_P: Tensor, count: int
) -> tuple[Tensor, Tensor]:
    """Logits (K,) of the best of all pairs, and their places: region * P + name.

    In numpy: on so few numbers, most of the time of torch's operators is spent on calling them. The
    exact scores are those of `exact_logits` to the bit.
    """
    left_QD, right_PD, above_P = (
        given.float().cpu().numpy().astype(np.float64)
        for given in (embeddings_QD, rows_PD, biases_P)
    )
    rough = (left_QD @ right_PD.T + above_P).ravel()
    places = np.arange(len(rough))
    if len(rough) > count:
        largest = np.sqrt(_squares(left_QD) * _squares(right_PD))
        lost = _LOST_IN_DOUBLES * (largest + np.abs(above_P).max())
        # Both the last of the best and a pair that is better may be off by as much.
        last = np.partition(rough, len(rough) - count)[len(rough) - count]
        places = np.flatnonzero(rough >= last - 2 * lost)
    region, name = np.divmod(places, len(right_PD))
    depth = left_QD.shape[1]
    width = 1 << (depth - 1).bit_length()
    products_KW = np.zeros((len(places), width))
    np.multiply(left_QD[region], right_PD[name], out=products_KW[:, :depth])
    while width > 1:  # the order of `exact_logits`
        width //= 2
        products_KW = products_KW[:, :width] + products_KW[:, width:]
    logits_K = products_KW[:, 0] + above_P[name]
    best = np.argsort(-logits_K, kind="stable")[:count]
    device = embeddings_QD.device
    return torch.from_numpy(logits_K[best]).to(device), torch.from_numpy(places[best]).to(device)


def _squares(values_ND: npt.NDArray[np.float64]) -> float:
    """The largest sum of squares of a row."""
    return float(np.einsum("nd,nd->n", values_ND, values_ND).max())


class _Search:
    """The best pairs so far, and what a new one must reach."""

    def __init__(
        self, embeddings_QD: Tensor, rows_PD: Tensor, biases_P: Tensor, count: int
    ) -> None:
        self.embeddings_QD, self.rows_PD, self.biases_P = embeddings_QD, rows_PD, biases_P
        self.count = count
        device = embeddings_QD.device
        self.logits = torch.zeros(0, dtype=torch.float64, device=device)
        self.places = torch.zeros(0, dtype=torch.int64, device=device)
        """region * P + name: unique, so that equal scores have an order."""
        self.bar = float("-inf")

    @property
    def has_bar(self) -> bool:
        """Whether there are as many pairs as are wanted, so that a new one must be better."""
        return len(self.logits) == self.count

    def prepare(self) -> None:
        """Make the left operand of the fast product."""
        device = self.embeddings_QD.device
        # Private, but torch's public calls report the processor's flags, and not whether oneDNN,
        # which multiplies here, uses them.
        fast = device.type == "cpu" and torch.ops.mkldnn._is_mkldnn_bf16_supported()
        self.type = torch.bfloat16 if fast else torch.float32
        self.slack = _LOST_IN_SUMS if fast else _LOST_IN_PRODUCTS
        rounded, lost_Q1, norm_Q1 = self._rounded(self.embeddings_QD)
        one_Q1 = torch.ones_like(norm_Q1)
        self.left_QW = torch.cat([rounded, lost_Q1, norm_Q1, one_Q1, one_Q1, one_Q1], 1)

    def look_at(self, first: int, last: int) -> None:
        """Take what is among the best so far from the names first..last-1."""
        if not self.has_bar:
            bounds_QP = self._bounds_above(float(self.biases_P[first:last].mean()), first, last)[
                :, : last - first
            ]
            likely = bounds_QP.flatten().float().topk(min(self.count, bounds_QP.numel())).indices
            self._take(
                likely // (last - first) * len(self.rows_PD) + likely % (last - first) + first
            )
            if not self.has_bar:
                return  # there are so few that all of them were taken
        bar = self.bar
        bounds_QP = self._bounds_above(bar, first, last)
        for flat in not_negative(bounds_QP):
            bound = bounds_QP.flatten()[flat].double() * _ROUNDING_UP + bar
            place = (
                flat // bounds_QP.shape[1] * len(self.rows_PD) + flat % bounds_QP.shape[1] + first
            )
            self.consider(place, bound)

    def consider(self, places: Tensor, bounds: Tensor) -> None:
        """Take what is among the best so far from pairs with these upper bounds."""
        if len(places) > self.count:  # the most promising raise the bar for the rest
            self._take(places[bounds.topk(self.count).indices])
        self._take(places[bounds >= self.bar])

    def _bounds_above(self, bar: float, first: int, last: int) -> Tensor:
        """Upper bounds of scores minus `bar`, (Q, names padded to whole blocks).

        Padding is below 0.
        """
        rounded, lost_P1, norm_P1 = self._rounded(self.rows_PD[first:last])
        above_P1 = self.biases_P[first:last, None].double() - bar
        above_P1 = above_P1 + above_P1.abs() * _LOST_IN_SUMS + torch.finfo(torch.float32).tiny
        parts = []
        for _ in range(3):  # numbers of few digits that add up to the number
            parts.append(above_P1.to(self.type))
            above_P1 = above_P1 - parts[-1].double()
        # The product multiplies what rounding took from the embeddings by the norm of the rows, and
        # the norm of the embeddings by what it took from the rows.
        right_PW = torch.cat([rounded, norm_P1, lost_P1, *parts], 1)
        right_PW = functional.pad(right_PW, (0, 0, 0, -len(right_PW) % BLOCK))
        right_PW[last - first :, -1] = -1.0
        return self.left_QW @ right_PW.T

    def _rounded(self, values_ND: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The values in the type of the fast product, with two norms (N, 1), rounded up.

        The first is the norm of what the conversion lost, the second that of the values.
        """
        rounded_ND = values_ND.to(self.type)
        norm_N1 = values_ND.norm(dim=1, keepdim=True) * _ROUNDING_UP
        lost_N1 = (values_ND - rounded_ND.float()).norm(
            dim=1, keepdim=True
        ) * _ROUNDING_UP + self.slack * norm_N1
        return (
            rounded_ND,
            (lost_N1 * _ROUNDING_UP).to(self.type),
            (norm_N1 * _ROUNDING_UP).to(self.type),
        )

    def _take(self, places: Tensor) -> None:
        """Score the pairs exactly that have not been scored, and keep the best."""
        for part in torch.split(places[~torch.isin(places, self.places)], EXACT_AT_ONCE):
            region, name = part // len(self.rows_PD), part % len(self.rows_PD)
            logits = exact_logits(
                self.embeddings_QD[region], self.rows_PD[name], self.biases_P[name]
            )
            places, order = torch.cat([self.places, part]).sort()
            logits, best = torch.cat([self.logits, logits])[order].sort(
                descending=True, stable=True
            )
            self.logits, self.places = logits[: self.count], places[best[: self.count]]
        if self.has_bar:
            self.bar = float(self.logits[-1])
