"""Settings of matching: a weight that makes no sense is refused by name."""

from __future__ import annotations

import math

import pytest

from omnidet import plugins
from omnidet.matching.config import MATCHERS, CostConfig, MatchingConfig
from omnidet.matching.hungarian import hungarian


@pytest.mark.parametrize(
    ("field", "value", "remedy"),
    [
        ("names", -1.0, "0 or more"),
        ("l1", math.nan, "0 or more"),
        ("giou", math.inf, "0 or more"),
        ("gamma", -0.5, "0 or more"),
        ("alpha", 1.5, "from 0 to 1"),
    ],
)
def test_a_wrong_weight_is_named(field, value, remedy):
    with pytest.raises(ValueError, match=f"matching.cost.{field}={value}: give") as caught:
        CostConfig(**{field: value})
    assert remedy in str(caught.value)


def test_the_default_matcher_is_a_file_of_the_folder():
    assert plugins.load(MATCHERS, MatchingConfig().matcher) is hungarian


def test_early_regions_out_of_range_are_refused():
    with pytest.raises(ValueError, match=r"matching.early_regions=-1.*0 to 100"):
        MatchingConfig(early_regions=-1)
