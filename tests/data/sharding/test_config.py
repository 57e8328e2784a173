"""Wrong settings are refused with their name and value."""

import pytest

from omnidet.data.sharding.config import ShardsConfig


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("samples_per_shard", 0),
        ("max_bad_share", 1.5),
        ("max_bad_share", -0.1),
        ("max_side", 15),
        ("workers", -1),
        ("parts", 0),
    ],
)
def test_impossible_values_are_named(field, value):
    with pytest.raises(ValueError, match=rf"shards\.{field}={value}: give"):
        ShardsConfig((), (), **{field: value})


def test_limits_are_allowed():
    ShardsConfig((), (), samples_per_shard=1, max_bad_share=0, max_side=16, workers=0, parts=1)
    ShardsConfig((), (), max_bad_share=1, max_side=None)
