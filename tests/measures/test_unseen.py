"""A detector is not measured on images that it was trained on."""

from __future__ import annotations

from pathlib import Path

import pytest

from omnidet.data import shard_writer, shards
from omnidet.measures.unseen import UNKNOWN, Compared, require_unseen
from tests import leaking, toys


def test_an_image_of_both_is_named(tmp_path):
    facts, recipe = leaking.write(tmp_path)
    index = shards.read_index(tmp_path)
    with pytest.raises(ValueError, match=r"eval/refcocog: 2 .*coco:3, coco:4") as caught:
        require_unseen(facts, index, recipe.evaluation)
    assert "\n" not in str(caught.value)
    others = {"recipe": {"streams": [{"name": "img", "sets": ["train/laion"]}]}}
    assert require_unseen(facts | others, index, recipe.evaluation) == Compared(True)


@pytest.mark.parametrize("changed", [{"dataset_version": "other"}, {"recipe": {}}])
def test_other_shards_cannot_be_compared(tmp_path, changed):
    facts, recipe = leaking.write(tmp_path)
    assert (
        require_unseen(facts | changed, shards.read_index(tmp_path), recipe.evaluation) == UNKNOWN
    )


def _folder(folder: Path, set_name: str) -> shards.Index:
    written = {set_name: shard_writer.write_set(toys.records(), folder, set_name, 4)}
    shards.write_index(folder, written, {}, {"held_out": {}, "quarantined": {}})
    return shards.read_index(folder)


def test_the_shards_of_the_training_are_compared_where_they_are_at_hand(tmp_path):
    facts, recipe = leaking.write(tmp_path / "own")
    folders = [shards.read_index(tmp_path / "own"), _folder(tmp_path / "more", "eval/more")]
    both = shards.combine(tmp_path / "both", folders)
    # Where its shards are is not noted.
    assert require_unseen(facts, both, recipe.evaluation) == UNKNOWN
    facts["shards"] = str(tmp_path / "own")
    with pytest.raises(ValueError, match="coco:3, coco:4"):
        require_unseen(facts, both, recipe.evaluation)
    for away in (str(tmp_path / "gone"), "s3://nobody/shards"):  # where it was trained, not here
        assert require_unseen(facts | {"shards": away}, both, recipe.evaluation) == UNKNOWN
    (tmp_path / "damaged").mkdir()
    (tmp_path / "damaged/index.json").write_text("{")
    damaged = facts | {"shards": str(tmp_path / "damaged")}
    assert require_unseen(damaged, both, recipe.evaluation) == UNKNOWN
    replaced = [*folders, _folder(tmp_path / "other", "train/coco")]
    other = shards.combine(tmp_path / "replaced", replaced)
    found = require_unseen(facts, other, recipe.evaluation)
    assert found.is_whole
    (note,) = found.notes  # on the state that it was trained on
    assert "eval/refcocog: 2" in note
    assert "coco:3, coco:4" in note
    for shard in shards.read_index(tmp_path / "own").shards("train/coco"):
        (tmp_path / "own" / shard.path).unlink()
    assert require_unseen(facts, other, recipe.evaluation) == UNKNOWN
