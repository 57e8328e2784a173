"""The plan: one part for each shard set, with all that its build needs."""

from __future__ import annotations

import json

import pytest

from components.plan_shards import plan_shards
from omnidet.recipes.tiny_world import tiny_world
from tests.components.steps import SETTINGS

pytestmark = pytest.mark.slow


def test_a_part_for_each_set(built):
    plans = [json.loads(part) for part in built.parts]
    recipe = tiny_world()
    sets = {part.set_name for part in (*recipe.shards.train, *recipe.shards.evaluation)}
    assert {plan["set"] for plan in plans} == sets
    assert len(plans) == len(sets)
    for plan in plans:
        assert plan["part"] == [1, 1]
        assert (plan["data"], plan["data_folder"]) == (built.data, built.folder)
        assert (plan["recipe"], plan["settings"]) == ("tiny_world", SETTINGS)


def test_sets_in_several_parts(built, tmp_path):
    settings = [*SETTINGS, "shards.parts=2"]
    parts = plan_shards.python_func(built.data, str(tmp_path), "tiny_world", settings)
    plans = [json.loads(part) for part in parts]
    assert len(plans) == 2 * len(built.parts)
    assert [plan["part"] for plan in plans if plan["set"] == "train/coco"] == [[1, 2], [2, 2]]
