"""An annotated folder becomes shards beside the old ones, cut as its owner wants."""

from __future__ import annotations

import json

import pytest

from omnidet import config
from omnidet.data import shards
from omnidet.data.annotated.config import ReadConfig
from omnidet.recipes import by_name
from omnidet.steps import retrain
from tests import toys
from tests.steps.retrain import cells_folder


@pytest.fixture
def cells(tmp_path):
    """Ten pictures as Pascal VOC."""
    return cells_folder.draw(tmp_path / "cells")


def test_the_account_and_the_layout_say_how_it_was_cut(cells, tmp_path):
    lines = [f"{number} {'val' if number < 4 else 'train'}" for number in range(10)]
    (tmp_path / "split.txt").write_text("\n".join(lines))
    reading = ReadConfig(split_file=str(tmp_path / "split.txt"))
    said = retrain.read(str(cells), str(tmp_path / "dataset"), "abc", reading)
    assert "split.txt" in said
    summary = json.loads((tmp_path / "dataset/summary.json").read_text())
    assert summary["counts"]["evaluation"] == {"pictures": 4, "boxes": 4}
    assert "split.txt" in summary["split"]


def test_new_shards_stand_beside_the_old_ones(cells, tmp_path):
    toys.write_shards(tmp_path / "old")
    retrain.read(str(cells), str(tmp_path / "dataset"), "abc")
    places = [str(tmp_path / name) for name in ("dataset", "old", "new", "both")]
    recipe = by_name("tiny_world")
    few = config.override(recipe, "retrain.min_boxes=6")
    with pytest.raises(ValueError, match=r"cells: .* 5 boxes, .* 6 .*") as refused:
        retrain.build_shards(*places, few, "cells")
    assert "--val-share" not in str(refused.value)  # of 10 boxes in all, no share is enough
    retrain.build_shards(*places, recipe, "cells")
    index = shards.read_index(places[3])
    assert {"train/coco", "train/cells", "eval/cells"} <= set(index.sets)
    assert retrain.count_boxes(places[3], "cells") == shards.num_samples(index.shards("eval/cells"))
    truth = json.loads((tmp_path / "both" / index.ground_truth["eval/cells"]["file"]).read_text())
    assert all(i["source_file"].startswith("JPEGImages/") for i in truth["images"])


def test_the_name_of_an_old_dataset_is_refused(cells, tmp_path):
    retrain.read(str(cells), str(tmp_path / "dataset"), "abc")
    places = [str(tmp_path / name) for name in ("dataset", "new", "both")]
    with pytest.raises(ValueError, match="'coco'"):
        retrain.build_shards(places[0], None, *places[1:], by_name("tiny_world"), "coco")
