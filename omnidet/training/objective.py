"""Loss terms of all streams -> the one number that is minimised."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from omnidet import plugins
from omnidet.schema import Batch, LossTerm, Matches, Predictions
from omnidet.training.config import LOSSES, WeightedLoss
from omnidet.training.distributed import sum_over_ranks

LossFunction = Callable[[Predictions, Batch, Matches], LossTerm]


@dataclass(frozen=True)
class Loss:
    """A loss function with the name that the log gives it, and its weight."""

    name: str
    function: LossFunction
    weight: float


def resolve(losses: Sequence[WeightedLoss]) -> tuple[Loss, ...]:
    """The functions that a recipe names. Raises ValueError for a name that no file of `losses/` has."""
    return tuple(
        Loss(one.name.rpartition(":")[2], plugins.load(LOSSES, one.name), one.weight)
        for one in losses
    )


@dataclass(frozen=True, eq=False)
class Parts:
    """Each loss of each stream, still where it was computed: to read them is to wait for the device."""

    names_KS: tuple[tuple[str, ...], ...]
    """`stream/loss`."""
    means_KS: Tensor
    """Of this rank's images, over the positives of all ranks."""
    counts_KS: Tensor
    """Positives of all ranks."""

    def over_ranks(self) -> Parts:
        """The same of the images of all ranks, which must all call it."""
        return Parts(self.names_KS, sum_over_ranks(self.means_KS), self.counts_KS)

    def read(self) -> dict[str, float]:
        """Numbers by name; what was not supervised is left out."""
        means_KS, counts_KS = torch.stack([self.means_KS, self.counts_KS]).tolist()
        rows = zip(self.names_KS, means_KS, counts_KS, strict=True)
        return {n: m for row in rows for n, m, count in zip(*row, strict=True) if count > 0}


def objective(
    losses: Sequence[Loss],
    streams: Sequence[str],
    world_size: int,
    predictions: Predictions,
    batch: Batch,
    matches: Matches,
    stream_weights: Sequence[float] | None = None,
) -> tuple[Tensor, Parts]:
    """The loss to minimise, and its parts.

    Each stream is divided by its own number of positives over all ranks, so that neither the mix nor the split over ranks
    changes its scale; `stream_weights` does where it is meant to. The sum is taken times the number of ranks, since DDP
    averages gradients.
    """
    groups = list(zip(predictions.groups(), batch.groups(), matches.groups(), strict=True))
    terms = [_sum([weighted.function(*group) for group in groups]) for weighted in losses]
    counts_KS = sum_over_ranks(torch.stack([term.count_S for term in terms]).detach())
    means_KS = torch.stack([term.total_S for term in terms]) / counts_KS.clamp(min=1)
    weights_K1 = _column(tuple(weighted.weight for weighted in losses), means_KS.device)
    weights_1S = _column(tuple(stream_weights or [1.0] * len(streams)), means_KS.device).T
    total = (weights_K1 * means_KS * weights_1S).sum() * world_size
    names_KS = tuple(
        tuple(f"{stream}/{weighted.name}" for stream in streams) for weighted in losses
    )
    return total, Parts(names_KS, means_KS.detach(), counts_KS)


def _sum(terms: Sequence[LossTerm]) -> LossTerm:
    """A loss over the images of all sizes."""
    total_S, count_S = terms[0].total_S, terms[0].count_S
    for term in terms[1:]:
        total_S, count_S = total_S + term.total_S, count_S + term.count_S
    return LossTerm(total_S, count_S)


@functools.lru_cache(maxsize=8)
def _column(weights: tuple[float, ...], device: torch.device) -> Tensor:
    """Sent to the device once: the copy would make each step wait for it."""
    return torch.tensor(weights, device=device)[:, None]
