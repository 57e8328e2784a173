"""One shard set of the plan."""

from __future__ import annotations

import json

import pytest

from omnidet.data import shards

pytestmark = pytest.mark.slow


def test_it_builds_the_set_of_its_part(built):
    assert built.names == [json.loads(part)["set"] for part in built.parts]
    index = shards.read_index(built.shards)
    for name in built.names:
        assert shards.num_samples(index.sets[name]) > 0, name
