"""What chance explains of a difference between two detectors."""

from __future__ import annotations

import numpy as np
import pytest

from omnidet.evaluation import chance, resampling
from omnidet.evaluation.stored import Stored


def _stored(value: float, resamples: list[float]) -> Stored:
    details = resampling.describe({"AP": value}, {"AP": np.array(resamples)})
    return Stored({"coco/AP": value}, {}, {"coco": details})


SPREAD = [0.50 + i / 1000 for i in range(-100, 101)]
"""Of a number that is .4 to .6 by chance."""


def test_the_range_of_one_evaluation_is_its_interval():
    low, high = chance.ranges(_stored(0.5, SPREAD))["coco/AP"]
    assert (low, high) == (pytest.approx(0.405, abs=0.001), pytest.approx(0.595, abs=0.001))


def test_on_the_same_images_it_is_narrower():
    """Both are off by the same chance: only what differs between them counts."""
    untaught = _stored(0.52, [value + 0.02 for value in SPREAD])
    low, high = chance.ranges(_stored(0.5, SPREAD), untaught)["coco/AP"]
    assert (low, high) == (pytest.approx(0.5), pytest.approx(0.5))
    assert not low <= 0.52 <= high  # a drop that is the same in each resample is no chance


def test_without_intervals_nothing_is_explained():
    assert chance.ranges(Stored({"coco/AP": 0.5}, {}, {"coco": {}})) == {}
