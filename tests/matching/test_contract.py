"""What every matcher promises: pairs of distinct regions and boxes with the lowest total cost."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from omnidet import plugins

MODULES = plugins.names("omnidet.matching")
MATCHERS = [plugins.load("omnidet.matching", name) for name in MODULES]


@pytest.fixture(params=MATCHERS, ids=MODULES)
def matcher(request):
    return request.param


@pytest.mark.parametrize("shape", [(5, 3), (6, 4), (4, 4), (3, 5), (1, 4), (4, 1)])
def test_equals_brute_force_over_all_permutations(matcher, shape):
    for seed in range(20):
        cost = np.random.default_rng(seed).normal(size=shape).astype(np.float32)
        regions, boxes = matcher(cost)
        assert regions.dtype == boxes.dtype == np.int64
        assert len(regions) == len(boxes) == min(shape)
        assert len(set(regions.tolist())) == len(set(boxes.tolist())) == min(shape)
        tall = cost if shape[0] >= shape[1] else cost.T
        every = itertools.permutations(range(tall.shape[0]), tall.shape[1])
        least = min(sum(tall[region, box] for box, region in enumerate(chosen)) for chosen in every)
        assert cost[regions, boxes].sum() == pytest.approx(float(least), abs=1e-5)


def test_the_greedy_answer_would_be_wrong(matcher):
    regions, boxes = matcher(np.array([[0.0, 1.0], [1.0, 9.0]], np.float32))
    assert dict(zip(regions.tolist(), boxes.tolist(), strict=True)) == {0: 1, 1: 0}


def test_without_boxes_there_are_no_pairs(matcher):
    regions, boxes = matcher(np.zeros((4, 0), np.float32))
    assert len(regions) == len(boxes) == 0
