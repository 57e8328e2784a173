"""The focal loss on names against torchvision's, and by hand."""

from __future__ import annotations

import dataclasses
import math

import pytest
import torch
from torchvision.ops import sigmoid_focal_loss

from omnidet.losses.names import names
from tests import toys


def test_equals_torchvisions_focal_loss_on_the_supervised_pairs():
    batch = toys.batch()
    predictions = toys.predictions(batch, toys.leaves())
    target = torch.zeros(5, 6, 3)
    target[0, 1, 0] = target[0, 4, 1] = target[1, 0, 0] = target[2, 3, 0] = target[
        2, 5, 0
    ] = target[2, 5, 1] = 1
    supervised = torch.zeros(5, 6, 3)
    supervised[0] = 1
    supervised[1, :, 1] = 1
    supervised[1, 0, 0] = 1  # not exhaustive: only its positive
    supervised[2, :, :2] = 1
    every = sigmoid_focal_loss(predictions.scores_BQL, target, alpha=0.25, gamma=2.0) * supervised
    term = names(predictions, batch, toys.matches())
    torch.testing.assert_close(
        term.total_S, torch.stack([every[:2].sum(), every[2].sum(), every[3:].sum()])
    )
    assert term.count_S.tolist() == [3, 3, 0]


def test_by_hand():
    batch = toys.select(toys.batch(), [1])
    predictions = toys.predictions(batch, toys.leaves(1, num_regions=2))
    scores = torch.full((1, 2, 3), math.log(0.1 / 0.9))
    scores[0, 0, 0] = math.log(0.6 / 0.4)
    matches = type(toys.matches())(*(torch.tensor([0]) for _ in range(3)))
    term = names(dataclasses.replace(predictions, scores_BQL=scores), batch, matches)
    positive = 0.25 * 0.4**2 * -math.log(0.6)
    negative = 0.75 * 0.1**2 * -math.log(0.9)
    assert term.total_S[0].item() == pytest.approx(positive + 2 * negative, rel=1e-5)
    assert term.count_S.tolist() == [1, 0, 0]


def test_extreme_scores_stay_finite():
    batch = toys.batch()
    of = toys.leaves()
    predictions = toys.predictions(batch, of)
    loud = dataclasses.replace(predictions, scores_BQL=predictions.scores_BQL * 1e4)
    term = names(loud, batch, toys.matches())
    term.total_S.sum().backward()
    assert term.total_S.isfinite().all()
    assert of.z_BQD.grad.isfinite().all()
