"""What the steps of the main job do besides calling the library."""

from __future__ import annotations

import json

import pytest

from components.run import train_detector
from omnidet import config
from omnidet.data import shards
from omnidet.recipes.tiny_world import tiny_world
from tests import toys


def test_data_that_is_given_is_read_where_it_is(tmp_path, monkeypatch):
    drawn = []
    monkeypatch.setattr(train_detector.train_detector, "draw_world", lambda *a: drawn.append(a))
    assert train_detector.datasets("s3://b/d", str(tmp_path), tiny_world()) == "s3://b/d"
    assert drawn == []
    world = f"{tmp_path}/world"
    assert train_detector.datasets("", str(tmp_path), tiny_world()) == world
    assert drawn == [(world, tiny_world())]


def test_a_group_of_the_plan_is_all_that_its_build_needs(monkeypatch):
    steps, asked = train_detector.train_detector, []
    groups = [[("train/coco", (1, 2))], [("train/coco", (2, 2)), ("eval/coco", (1, 1))]]
    monkeypatch.setattr(steps, "plan_shards", lambda *_: ["train/coco", "eval/coco"])
    monkeypatch.setattr(steps, "group_shard_sets", lambda *_: groups)
    monkeypatch.setattr(steps, "build_shard_set", lambda *a, part: asked.append((*a, part)))
    settings = ["shards.parts=2"]
    planned = train_detector.plan_shards("s3://b/d", "s3://b/data", "tiny_world", settings)
    assert [train_detector.build_shard_sets(group) for group in planned] == [
        "train/coco",
        "train/coco, eval/coco",
    ]
    recipe, out = config.override(tiny_world(), *settings), "s3://b/data/shards"
    assert asked == [
        ("s3://b/d", out, "train/coco", recipe, (1, 2)),
        ("s3://b/d", out, "train/coco", recipe, (2, 2)),
        ("s3://b/d", out, "eval/coco", recipe, (1, 1)),
    ]


def test_sets_that_nobody_built_are_refused(tmp_path, monkeypatch):
    index = toys.write_shards(tmp_path / "shards")
    monkeypatch.setattr(train_detector.train_detector, "merge_shards", lambda _: index)
    out = tmp_path / "out"
    names = ["train/coco, train/refcocog", "train/laion"]
    facts = train_detector.merge_shards(str(tmp_path), names, str(out))
    assert facts["samples_train_coco"] == shards.num_samples(index.sets["train/coco"])
    assert json.loads(out.read_text())["dataset_version"] == index.dataset_version
    with pytest.raises(ValueError, match=r"train/laion.* train/coco, train/refcocog"):
        train_detector.merge_shards(str(tmp_path), names[:1], str(out))


def test_the_champion_that_the_gate_saw(tmp_path):
    run = str(tmp_path)
    assert train_detector._compared_with(run) is ...
    for champion, number in ((None, None), ("toy@12", 12)):
        (tmp_path / "gate.json").write_text(json.dumps({"champion": champion}))
        assert train_detector._compared_with(run) == number
