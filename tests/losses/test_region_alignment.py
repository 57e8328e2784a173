"""The softmax over regions against torch's cross-entropy, its floor, and what it leaves alone."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from torch.nn import functional

from omnidet.losses.region_alignment import region_alignment
from omnidet.schema import Matches
from tests import toys


def _scored(batch, scores_BQL: torch.Tensor):
    return dataclasses.replace(toys.predictions(batch, toys.leaves()), scores_BQL=scores_BQL)


def _scores(batch) -> torch.Tensor:
    images, names = batch.name_BL.shape
    return torch.randn(images, 6, names, generator=torch.Generator().manual_seed(1))


def test_equals_cross_entropy_with_equal_shares_minus_their_entropy():
    batch = toys.batch()
    scores = _scores(batch)
    # Of the described image, name 0 has both boxes (regions 3 and 5), name 1 the second alone.
    first = scores[2, :, 0]
    expected = (
        functional.cross_entropy(first[None], torch.tensor([[0, 0, 0, 0.5, 0, 0.5]]))
        - torch.tensor(2.0).log()
        + functional.cross_entropy(scores[2, :, 1][None], torch.tensor([5]))
    )
    term = region_alignment(_scored(batch, scores), batch, toys.matches())
    torch.testing.assert_close(
        term.total_S, torch.stack([expected.new_zeros(()), expected, expected.new_zeros(())])
    )
    assert term.count_S.tolist() == [0, 2, 0]


def test_the_floor_is_zero_and_reached_if_the_regions_of_a_phrase_share_it_alone():
    batch = toys.batch()
    perfect = torch.full_like(_scores(batch), -50.0)
    perfect[2, [3, 5], 0] = 4.0
    perfect[2, 5, 1] = 4.0
    at_best = region_alignment(_scored(batch, perfect), batch, toys.matches())
    torch.testing.assert_close(at_best.total_S, torch.zeros(3), atol=1e-5, rtol=0)
    uneven = perfect.clone()
    uneven[2, 3, 0] = 5.0
    assert region_alignment(_scored(batch, uneven), batch, toys.matches()).total_S[1] > 0.01


def test_a_rival_is_pushed_down_more_than_background():
    batch = toys.batch()
    scores = torch.full_like(_scores(batch), -4.0)
    scores[2, 5, 1] = 1.0
    scores[2, 0, 1] = 0.9  # scored nearly as high as the one that the phrase means
    scores.requires_grad_()
    region_alignment(_scored(batch, scores), batch, toys.matches()).total_S[1].backward()
    pushed_Q = scores.grad[2, :, 1]
    assert pushed_Q[5] < 0 < pushed_Q[1]
    assert pushed_Q[0] > 50 * pushed_Q[1]


def test_phrases_that_may_name_more_than_their_boxes_are_left_alone():
    full = toys.batch()
    negative = full.negative_BL.clone()
    negative[2, 0] = False
    batch = dataclasses.replace(full, negative_BL=negative)
    scores = _scores(batch)
    term = region_alignment(_scored(batch, scores), batch, toys.matches())
    alone = functional.cross_entropy(scores[2, :, 1][None], torch.tensor([5]))
    assert term.total_S[1].item() == pytest.approx(alone.item(), rel=1e-5)
    assert term.count_S.tolist() == [0, 1, 0]


def test_names_that_do_not_describe_are_left_alone():
    batch = dataclasses.replace(toys.batch(), describes_B=torch.zeros(5, dtype=torch.bool))
    term = region_alignment(_scored(batch, _scores(batch)), batch, toys.matches())
    assert term.total_S.tolist() == term.count_S.tolist() == [0, 0, 0]


def test_several_regions_of_one_box_share_it():
    """As early matching gives a box to several regions."""
    batch = toys.batch()
    scores = _scores(batch)
    several = Matches(torch.tensor([2, 2]), torch.tensor([1, 4]), torch.tensor([1, 1]))
    term = region_alignment(_scored(batch, scores), batch, several)
    target = torch.tensor([[0, 0.5, 0, 0, 0.5, 0]])
    expected = sum(
        functional.cross_entropy(scores[2, :, name][None], target) - torch.tensor(2.0).log()
        for name in (0, 1)
    )
    assert term.total_S[1].item() == pytest.approx(expected.item(), rel=1e-5)
