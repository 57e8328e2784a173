"""The shard sets of one group of the plan."""

from __future__ import annotations

import json

import pytest

from components.run.train_detector import BETWEEN
from omnidet.data import shards

pytestmark = pytest.mark.slow


def test_it_builds_the_sets_of_its_group(built):
    planned = [[name for name, _ in json.loads(group)["sets"]] for group in built.groups]
    assert [names.split(BETWEEN) for names in built.names] == planned
    index = shards.read_index(built.shards)
    assert sorted(name for names in planned for name in names) == sorted(index.sets)
    for name, parts in index.sets.items():
        assert shards.num_samples(parts) > 0, name
