"""Brightness and contrast change; hues and boxes do not."""

from __future__ import annotations

import numpy as np
import pytest

from omnidet.data.transforms.colour_jitter import ColourJitter
from tests.data.transforms.paintings import found, painted


@pytest.mark.parametrize("field", ["brightness", "contrast"])
@pytest.mark.parametrize("value", [-0.1, 1.0])
def test_a_share_outside_0_to_1_is_refused(field, value):
    with pytest.raises(ValueError, match=f"{field}={value}.*: give"):
        ColourJitter(**{field: value})


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
