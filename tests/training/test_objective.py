"""Loss terms -> one number: normalised by stream, with one gradient for any split of a batch."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from omnidet.matching.config import CostConfig
from omnidet.matching.cost import match
from omnidet.matching.hungarian import hungarian
from omnidet.model.detector import Detector
from omnidet.schema import Batch, LossTerm
from omnidet.training.objective import Loss, objective
from tests import toys


def _constant(totals: list[float], counts: list[float]) -> object:
    def loss(*_arguments: object) -> LossTerm:
        return LossTerm(torch.tensor(totals, requires_grad=True), torch.tensor(counts))

    return loss


def test_each_stream_is_divided_by_its_own_positives():
    losses = (
        Loss("first", _constant([6.0, 10.0, 0.0], [3.0, 1.0, 0.0]), 2.0),
        Loss("second", _constant([0.0, 0.0, 9.0], [0.0, 0.0, 2.0]), 0.5),
    )
    batch = toys.batch()
    total, report = objective(
        losses, toys.STREAMS, 1, toys.predictions(batch, toys.leaves()), batch, toys.matches()
    )
    assert total.item() == pytest.approx(2 * (6 / 3 + 10 / 1) + 0.5 * 9 / 2)
    # What is not supervised is not reported.
    assert report.read() == {"det/first": 2.0, "grd/first": 10.0, "img/second": 4.5}


def test_without_positives_nothing_is_divided_by_zero():
    losses = (Loss("negatives", _constant([4.0, 0.0, 0.0], [0.0, 0.0, 0.0]), 1.0),)
    batch = toys.batch()
    total, report = objective(
        losses, toys.STREAMS, 1, toys.predictions(batch, toys.leaves()), batch, toys.matches()
    )
    assert total.item() == 4.0  # images of negatives alone still teach
    assert report.read() == {}


def test_the_loss_is_multiplied_by_the_ranks_because_ddp_averages():
    losses = (Loss("first", _constant([6.0, 0.0, 0.0], [3.0, 0.0, 0.0]), 1.0),)
    batch = toys.batch()
    total, report = objective(
        losses, toys.STREAMS, 4, toys.predictions(batch, toys.leaves()), batch, toys.matches()
    )
    assert total.item() == 8.0
    assert report.read()["det/first"] == 2.0


def _of_step(detector: Detector, batch: Batch) -> tuple[torch.Tensor, torch.Tensor]:
    """Loss and gradient of one backward."""
    predictions = detector(batch)
    matches = match(predictions, batch, CostConfig(), hungarian)
    loss, _ = objective(toys.LOSSES, ["det", "grd", "img"], 1, predictions, batch, matches)
    gradient = torch.autograd.grad(loss, list(detector.parameters()))
    return loss, torch.cat([part.flatten() for part in gradient])


def test_a_step_of_several_image_sizes_is_one_loss_and_one_backward():
    detector, batch = toys.toy_detector(), toys.batch()
    split = dataclasses.replace(toys.select(batch, [0, 2]), more=(toys.select(batch, [1, 3, 4]),))
    for whole, parts in zip(_of_step(detector, batch), _of_step(detector, split), strict=True):
        torch.testing.assert_close(parts, whole, atol=1e-5, rtol=1e-5)
    smaller = toys.select(batch, [1, 3, 4])
    smaller = dataclasses.replace(smaller, images_BCHW=smaller.images_BCHW[:, :, ::2, ::2])
    mixed = dataclasses.replace(toys.select(batch, [0, 2]), more=(smaller,))
    assert [of.boxes_cxcywh_BQ4.shape[:2] for of in detector(mixed).groups()] == [(2, 16), (3, 4)]
    loss, gradient = _of_step(detector, mixed)
    assert loss.isfinite()
    assert (gradient != 0).float().mean() > 0.5
