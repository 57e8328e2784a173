from __future__ import annotations

import pytest
import torch

from omnidet.export.comparison import Difference, compare
from omnidet.export.config import Limits, int8_limits
from omnidet.export.graph import AnyWords
from tests import toys

LIMITS = Limits(box_pixels=0.1, score=0.01, logits=0.1)
SIZES = [(1, 64, 64), (2, 64, 96)]


@pytest.fixture(scope="module")
def graph():
    return AnyWords(toys.toy_detector()).eval()


def _compare(graph, change, *, mean=False):
    words = torch.ones(2, 16), torch.zeros(2)

    def run(inputs):
        with torch.no_grad():
            boxes, scores = graph(*inputs)[:2]
        return change(boxes.numpy(), scores.numpy())

    return compare(graph, run, words, SIZES, mean=mean)


def test_the_same_is_no_difference(graph):
    difference = _compare(graph, lambda boxes, scores: (boxes, scores))
    assert (difference.box_pixels, difference.score, difference.logits) == (0, 0, 0)
    difference.check(LIMITS)


def test_shares_become_pixels_of_each_size(graph):
    def moved(boxes, scores):
        boxes[0, 3, 0] += 0.01
        return boxes, scores

    assert _compare(graph, moved).box_pixels == pytest.approx(0.96, abs=1e-4)
    assert 0 < _compare(graph, moved, mean=True).box_pixels < 0.02


@pytest.mark.parametrize("boxes", [0.2, float("nan")])
def test_too_large_a_difference_is_refused_with_both_numbers(boxes):
    with pytest.raises(ValueError, match=r"0\.1\b.*0\.01"):
        Difference(boxes, 0.0, 0.0, "largest").check(LIMITS)


def test_scores_count_too(graph):
    difference = _compare(graph, lambda boxes, scores: (boxes, scores + 0.05))
    assert difference.score == pytest.approx(0.05, abs=1e-5)
    with pytest.raises(ValueError, match="scores"):
        difference.check(LIMITS)


@pytest.mark.parametrize(
    "change",
    [
        lambda boxes, scores: (boxes, scores * 0),
        lambda boxes, scores: (boxes, scores * 0 + scores.mean((0, 1))),
        lambda boxes, scores: (boxes, scores[:, ::-1]),
        lambda boxes, scores: (boxes * 0 + boxes.mean((0, 1)), scores),
    ],
    ids=["answers 0", "answers the mean", "mixes up the regions", "boxes do not move"],
)
def test_a_dead_model_of_8_bits_is_refused(graph, change):
    with pytest.raises(ValueError, match="logits"):
        _compare(graph, change, mean=True).check(int8_limits(64))
