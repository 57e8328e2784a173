"""The loss on second boxes by hand."""

from __future__ import annotations

import dataclasses
import math

import pytest
import torch

from omnidet.losses.doubles import doubles
from omnidet.losses.names import names
from omnidet.schema import Matches
from tests import toys


def _case(second: list[float], score: float = 0.4):
    """One image with a box of each of the first two names; the second region is as given."""
    batch = toys.select(toys.batch(), [0])
    first = batch.boxes_cxcywh_BN4[0]
    given = toys.predictions(batch, toys.leaves(1, num_regions=3))
    boxes = torch.stack([first[0], torch.tensor(second), first[1]])[None]
    scores = torch.full((1, 3, 3), math.log(0.1 / 0.9))
    scores[0, 1, 0] = math.log(score / (1 - score))
    matches = Matches(torch.tensor([0, 0]), torch.tensor([0, 2]), torch.tensor([0, 1]))
    return dataclasses.replace(given, boxes_cxcywh_BQ4=boxes, scores_BQL=scores), batch, matches


def test_a_second_box_is_one_more_negative_by_hand():
    predictions, batch, matches = _case([0.3, 0.3, 0.2, 0.2])  # IoU 2/3 with the first box
    term = doubles(predictions, batch, matches)
    assert term.total_S[0].item() == pytest.approx(0.75 * 0.4**2 * -math.log(0.6), rel=1e-5)
    assert torch.equal(term.count_S, names(predictions, batch, matches).count_S)


@pytest.mark.parametrize(
    "second", [[0.3, 0.3, 0.2, 0.14], [0.7, 0.6, 0.4, 0.2]], ids=["IoU .47", "on another thing"]
)
def test_a_box_of_its_own_is_none(second):
    predictions, batch, matches = _case(second)
    others = doubles(predictions, batch, matches).total_S[0].item()
    # On the other thing, the names of that one are repeated, at a score of .1.
    expected = 0.75 * 0.1**2 * -math.log(0.9) if second[0] == 0.7 else 0.0
    assert others == pytest.approx(expected, rel=1e-5)


def test_the_region_that_is_matched_is_none():
    predictions, batch, matches = _case([0.9, 0.9, 0.1, 0.1])
    assert doubles(predictions, batch, matches).total_S.tolist() == [0, 0, 0]
