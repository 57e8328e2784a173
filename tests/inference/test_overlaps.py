"""What overlaps too much to be another thing."""

from __future__ import annotations

import numpy as np
import pytest

from omnidet.inference.overlaps import checked_overlap, one_each, overlaps


def test_overlap_is_intersection_over_union():
    box = np.array([0, 0, 10, 10], np.float32)
    others = np.array([[0, 0, 10, 10], [5, 0, 15, 10], [20, 20, 30, 30], [0, 0, 0, 0]], np.float32)
    np.testing.assert_allclose(overlaps(box, others), [1, 1 / 3, 0, 0], atol=1e-6)


@pytest.mark.parametrize(("given", "share"), [(True, 0.7), (False, None), (0.25, 0.25), (1, 1.0)])
def test_what_overlaps_too_much(given, share):
    assert checked_overlap(given) == share


@pytest.mark.parametrize("given", [float("nan"), -0.1, 1.5, "yes", None, [10**5000]])
def test_what_is_no_share_is_refused(given):
    with pytest.raises(ValueError, match="no_overlaps"):
        checked_overlap(given)


def test_the_better_one_of_two_under_one_name_is_kept():
    boxes = np.array([[0, 0, 10, 10], [0, 0, 10, 9], [50, 0, 60, 10]], np.float32)
    region, name = np.array([0, 1, 1, 2, 0, 0]), np.array([0, 0, 1, 0, 1, 0])
    assert one_each(boxes, region, name, 0.7) == [0, 2, 3]
    assert one_each(boxes, region, name, None) == [0, 1, 2, 3, 4]
