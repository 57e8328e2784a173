"""The streams of a recipe on the data that is there."""

from __future__ import annotations

import pytest

from omnidet.data import shard_writer, shards
from omnidet.data.mixing import streams
from omnidet.data.mixing.config import Stream
from tests import toys


@pytest.fixture
def index(tmp_path) -> shards.Index:
    toys.write_shards(tmp_path)
    return shards.read_index(tmp_path)


def test_sets_that_are_missing_are_left_out(index):
    there = next(name for name in index.sets if name.startswith("train/"))
    wanted = (Stream("det", (there, "train/none"), 4), Stream("img", ("train/none",), 2))
    kept, left_out = streams.with_data(wanted, index)
    assert [(s.name, s.sets, s.images_per_step) for s in kept] == [("det", (there,), 4)]
    (line,) = left_out
    assert "stream img" in line
    assert "train/none" in line
    with pytest.raises(ValueError, match=str(index.location)):
        streams.with_data(wanted[1:], index)


def test_class_names_are_those_whose_absence_is_known(tmp_path):
    by_set = {
        "train/coco": [r for r in toys.records() if r.absent],
        "train/refcocog": [r for r in toys.records() if not r.absent],
    }
    assert all(by_set.values())
    written = {name: shard_writer.write_set(own, tmp_path, name, 4) for name, own in by_set.items()}
    shards.write_index(tmp_path, written, {}, {"held_out": {}, "quarantined": {}})
    index = shards.read_index(tmp_path)
    both = [Stream("det", tuple(by_set), 4), Stream("img", ("train/coco",), 4, boxes=False)]
    expected = {p for r in by_set["train/coco"] for p in (*r.phrases, *r.absent)}
    assert streams.class_names(both, index) == expected
    assert streams.class_names(both[1:], index) == set()


def test_a_dataset_that_shows_all_of_its_names_in_every_picture_has_names_too(tmp_path):
    """Nothing is absent in any; the evaluation asks for them."""
    shown = [r for r in toys.records() if not r.absent and r.phrases]
    name = shown[0].phrases[0]
    written = {"train/x": shard_writer.write_set(shown, tmp_path, "train/x", 4)}
    truth = {"eval/x": {"file": "truth.json", "names": {"1": name, "2": "never trained on"}}}
    shards.write_index(tmp_path, written, truth, {"held_out": {}, "quarantined": {}})
    det = [Stream("det", ("train/x",), 4)]
    assert streams.class_names(det, shards.read_index(tmp_path)) == {name}
