"""The plan: groups of shard sets, with all that their builds need."""

from __future__ import annotations

import json

import pytest

from components.plan_shards import plan_shards
from omnidet.recipes.tiny_world import tiny_world
from tests.components.steps import SETTINGS

pytestmark = pytest.mark.slow


def test_small_sets_are_one_group(built):
    (plan,) = (json.loads(group) for group in built.groups)
    recipe = tiny_world()
    sets = {part.set_name for part in (*recipe.shards.train, *recipe.shards.evaluation)}
    assert {name for name, _ in plan["sets"]} == sets
    assert all(part == [1, 1] for _, part in plan["sets"])
    assert (plan["data"], plan["data_folder"]) == (built.data, built.folder)
    assert (plan["recipe"], plan["settings"]) == ("tiny_world", SETTINGS)


def test_sets_in_several_parts(built, tmp_path):
    settings = [*SETTINGS, "shards.parts=2"]
    (group,) = plan_shards.python_func(built.data, str(tmp_path), "tiny_world", settings)
    parts = [part for name, part in json.loads(group)["sets"] if name == "train/coco"]
    assert sorted(parts) == [[1, 2], [2, 2]]
