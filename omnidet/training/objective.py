"""Loss terms of all streams -> the one number that is minimised."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from omnidet.schema import Batch, LossTerm, Matches, Predictions
from omnidet.training.distributed import sum_over_ranks

LossFunction = Callable[[Predictions, Batch, Matches], LossTerm]


@dataclass(frozen=True)
class WeightedLoss:
    """A loss and its weight beside it."""

    loss: LossFunction
    weight: float


def objective(
    losses: Sequence[WeightedLoss],
    streams: Sequence[str],
    world_size: int,
    predictions: Predictions,
    batch: Batch,
    matches: Matches,
) -> tuple[Tensor, dict[str, Tensor]]:
    """The loss to minimise, and each part by the name `stream/loss`.

    Each stream is divided by its own number of positives over all ranks, so that neither the mix nor the split over ranks
    changes its scale. The sum is taken times the number of ranks, since DDP averages gradients.
    """
    groups = list(zip(predictions.groups(), batch.groups(), matches.groups(), strict=True))
    terms = [_sum([weighted.loss(*group) for group in groups]) for weighted in losses]
    counts_KS = sum_over_ranks(torch.stack([term.count_S for term in terms]).detach())
    means_KS = torch.stack([term.total_S for term in terms]) / counts_KS.clamp(min=1)
    weights_K1 = means_KS.new_tensor([weighted.weight for weighted in losses])[:, None]
    total = (weights_K1 * means_KS).sum() * world_size
    parts_KS, supervised_KS = means_KS.detach(), (counts_KS > 0).cpu().numpy()
    report = {
        f"{stream}/{weighted.loss.__name__}": parts_KS[k, s]
        for k, weighted in enumerate(losses)
        for s, stream in enumerate(streams)
        if supervised_KS[k, s]
    }
    return total, report


def _sum(terms: Sequence[LossTerm]) -> LossTerm:
    """A loss over the images of all sizes."""
    total_S, count_S = terms[0].total_S, terms[0].count_S
    for term in terms[1:]:
        total_S, count_S = total_S + term.total_S, count_S + term.count_S
    return LossTerm(total_S, count_S)
