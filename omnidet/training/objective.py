"""The loss terms of all streams -> the one number that training minimises."""

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
    """A loss function, its name in the log, and its weight."""

    name: str
    function: LossFunction
    weight: float


def resolve(losses: Sequence[WeightedLoss]) -> tuple[Loss, ...]:
    """The functions that a recipe names.

    Raises ValueError for a name without a file in `losses/`.
    """
    return tuple(
        Loss(one.name.rpartition(":")[2], plugins.load(LOSSES, one.name), one.weight)
        for one in losses
    )


@dataclass(frozen=True, eq=False)
class Parts:
    """Each loss of each stream, still on its device: reading them waits for the device."""

    names_KS: tuple[tuple[str, ...], ...]
    """`stream/loss`."""
    means_KS: Tensor
    """Sums over this rank's images, divided by the positives of all ranks."""
    counts_KS: Tensor
    """Positives of all ranks."""

    def with_early(self, early: Parts) -> Parts:
        """These, and those of the early predictions as `stream/early_loss`."""
        names = tuple(
            tuple(name.replace("/", "/early_", 1) for name in row) for row in early.names_KS
        )
        return Parts(
            self.names_KS + names,
            torch.cat([self.means_KS, early.means_KS]),
            torch.cat([self.counts_KS, early.counts_KS]),
        )

    def over_ranks(self) -> Parts:
        """The means over the images of all ranks. Every rank must call this."""
        return Parts(self.names_KS, sum_over_ranks(self.means_KS), self.counts_KS)

    def read(self) -> dict[str, float]:
        """The means by name; what was not supervised is left out."""
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

    Each stream's losses are divided by that stream's positives on all ranks, so that neither the
    mix of streams nor the split over ranks changes their scale; `stream_weights` changes it on
    purpose. The sum is multiplied by the number of ranks because DDP averages gradients.
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
    """Weights on the device; cached, since the copy would make each step wait."""
    return torch.tensor(weights, device=device)[:, None]
