"""The plan that all parts of a build follow: there and back, and what it refuses."""

from __future__ import annotations

import dataclasses
import json

import pytest

from omnidet.data.sharding import build, plan_file
from omnidet.data.sharding.config import ShardsConfig
from tests.data.sharding.small import WEB, one
from tests.data.sources.handmade import write_coco, write_laion

CONFIG = ShardsConfig((WEB,), (one("eval/coco", "coco"),), 1)


@pytest.fixture
def data(tmp_path):
    write_coco(tmp_path / "data/coco")
    write_laion(tmp_path / "data/laion")
    return tmp_path / "data"


@pytest.fixture
def out(tmp_path):
    return str(tmp_path / "out")


def test_there_and_back(data, out):
    assert plan_file.is_needed(out)
    assert plan_file.write(data, out, CONFIG) == ["train/laion", "eval/coco"]
    assert not plan_file.is_needed(out)
    own, planned = plan_file.read(out), build.plan(data, CONFIG)
    assert own.sets == planned.sets
    assert own.held_out.digest == planned.held_out.digest
    plan_file.require_same_data(out, data, CONFIG, None, 7)  # no number of parts was agreed on


def test_a_merged_build_needs_a_new_plan_and_keeps_the_old_one(data, out):
    plan_file.write(data, out, CONFIG)
    plan_file.mark_merged(out)
    assert plan_file.is_needed(out)
    assert plan_file.read(out).sets == ("train/laion", "eval/coco")


def test_a_missing_plan_is_named(out):
    with pytest.raises(FileNotFoundError, match=rf"{out}/plan\.json"):
        plan_file.read(out)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"samples_per_shard": 2}, r"shards\.samples_per_shard=1, not 2"),
        ({"max_side": 16}, r"shards\.max_side=None, not 16"),
        ({"train": ()}, r"shards\.train="),
    ],
)
def test_other_settings_are_refused(data, out, change, named):
    plan_file.write(data, out, CONFIG)
    with pytest.raises(ValueError, match=rf"plan\.json .*{named}"):
        plan_file.require_same_settings(out, data, dataclasses.replace(CONFIG, **change))


def test_other_places_are_refused(data, out, tmp_path):
    plan_file.write(data, out, CONFIG)
    with pytest.raises(ValueError, match=r"--data=.*data, not .*elsewhere"):
        plan_file.require_same_settings(out, tmp_path / "elsewhere", CONFIG)
    with pytest.raises(ValueError, match=r"--path={}, not .*elsewhere"):
        plan_file.require_same_settings(out, data, CONFIG, {"laion": "elsewhere"})
    plan_file.require_same_settings(out, f"{data}/", CONFIG)  # the same folder


def test_settings_that_change_no_byte_may_differ(data, out):
    plan_file.write(data, out, CONFIG)
    free = dataclasses.replace(CONFIG, workers=3, max_bad_share=0.5, parts=4)
    assert plan_file.require_same_settings(out, data, free).sets == ("train/laion", "eval/coco")


def test_another_number_of_parts_is_refused(data, out):
    plan_file.write(data, out, CONFIG, parts=2)
    plan_file.require_same_data(out, data, CONFIG, None, 2)
    with pytest.raises(ValueError, match=r"plan\.json .*2 parts.* 3: .*--part I/2"):
        plan_file.require_same_data(out, data, CONFIG, None, 3)


def test_data_that_changed_since_are_refused(data, out):
    plan_file.write(data, out, CONFIG)
    annotations = data / "coco/annotations/instances_val2017.json"
    content = json.loads(annotations.read_text())
    content["images"][0]["id"] = 99
    annotations.write_text(json.dumps(content | {"annotations": []}))
    with pytest.raises(ValueError, match=rf"plan\.json .*{data}"):
        plan_file.require_same_data(out, data, CONFIG, None, 2)
