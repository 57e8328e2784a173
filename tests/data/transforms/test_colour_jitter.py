"""Other light, the same colours and boxes."""

from __future__ import annotations

import numpy as np

from omnidet.data.transforms.colour_jitter import ColourJitter
from tests.data.transforms.test_example import found, painted


def test_light_changes_and_hues_do_not():
    example = painted(60, 40, (5, 5, 30, 30), (35, 5, 55, 35))
    means = set()
    for seed in range(20):
        now = ColourJitter()(example, np.random.default_rng(seed))
        assert now.record is example.record
        assert found(now, 0) == [5, 5, 30, 30]
        assert found(now, 1) == [35, 5, 55, 35]
        means.add(now.pixels.mean().round(3))
    assert len(means) > 8
    grey = painted(8, 8)
    assert (ColourJitter(0, 0)(grey, np.random.default_rng(0)).pixels == grey.pixels).all()
