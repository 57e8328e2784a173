"""The optimal assignment on matrices whose answer is known."""

from __future__ import annotations

import numpy as np
import pytest

from omnidet.matching.hungarian import hungarian


def test_a_permutation_is_found():
    order = np.random.default_rng(0).permutation(50)
    cost = np.ones((50, 50), np.float32)
    cost[order, np.arange(50)] = 0
    regions, boxes = hungarian(cost)
    assert (order[boxes] == regions).all()


@pytest.mark.parametrize("shape", [(300, 7), (7, 300)])
def test_the_shorter_side_is_matched_whole(shape):
    cost = np.random.default_rng(1).normal(size=shape).astype(np.float32)
    regions, boxes = hungarian(cost)
    shorter = (regions, boxes)[shape.index(7)]
    assert sorted(shorter.tolist()) == list(range(7))
    assert regions.dtype == boxes.dtype == np.int64
