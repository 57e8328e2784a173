"""An annotated folder becomes shards beside the old ones, cut as its owner wants."""

from __future__ import annotations

import json

import pytest

from omnidet import config
from omnidet.data import shards
from omnidet.data.annotated.config import ReadConfig
from omnidet.recipes import by_name
from omnidet.steps import retrain
from tests import taught, toys


@pytest.fixture
def cells(tmp_path):
    """Ten pictures as Pascal VOC."""
    return _draw(tmp_path / "cells")


def _draw(folder, colour: str = "red"):
    for part in ("JPEGImages", "Annotations"):
        (folder / part).mkdir(parents=True)
    for number in range(10):
        box = (number, 2, number + 20, 30)
        (folder / f"JPEGImages/{number}.png").write_bytes(toys.png(200, 150, [box], colour))
        (folder / f"Annotations/{number}.xml").write_text(taught._xml("quasar", box))
    return folder


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


def _split(folder, *evaluated: int) -> ReadConfig:
    lines = [f"{number} {'val' if number in evaluated else 'train'}" for number in range(10)]
    (folder / "split.txt").write_text("\n".join(lines))
    return ReadConfig(split_file=str(folder / "split.txt"))


def test_pictures_that_the_champion_was_trained_on_are_not_evaluated_on(cells, tmp_path):
    retrain.read(str(cells), str(tmp_path / "first"), "abc", _split(tmp_path, 0, 1, 2, 3, 4))
    places = [str(tmp_path / name) for name in ("new", "shards")]
    retrain.build_shards(str(tmp_path / "first"), None, *places, by_name("tiny_world"), "cells")
    other = _split(tmp_path, 3, 4, 5, 6)  # 5 and 6 were trained on
    said = retrain.read(str(cells), str(tmp_path / "second"), "abd", other, places[1])
    assert "2 of the 4 evaluation pictures" in said
    held = json.loads((tmp_path / "second/annotations/evaluation.json").read_text())
    assert [i["source_file"] for i in held["images"]] == ["JPEGImages/3.png", "JPEGImages/4.png"]
    alone = retrain.read(str(cells), str(tmp_path / "third"), "abd", other)
    assert "evaluation pictures are trained on" not in alone
    with pytest.raises(ValueError, match="trained on 2 of the 2"):
        retrain.read(str(cells), str(tmp_path / "fourth"), "abe", _split(tmp_path, 5, 6), places[1])


def test_other_pictures_of_the_same_camera_are_trained_on(cells, tmp_path):
    """They look like the evaluation pictures of the first folder and are none of them."""
    split = _split(tmp_path, 0, 1, 2, 3, 4)
    others = _draw(tmp_path / "others", "darkred")
    recipe, said = by_name("tiny_world"), {}
    for folder, replay in ((cells, None), (others, str(tmp_path / "cells_shards"))):
        names = (folder.name, f"{folder.name}_new", f"{folder.name}_shards")
        retrain.read(str(folder), dataset := str(tmp_path / f"{names[0]}_read"), "abc", split)
        places = [str(tmp_path / name) for name in names[1:]]
        said[names[0]] = retrain.build_shards(dataset, replay, *places, recipe, names[0])
    index = shards.read_index(tmp_path / "others_shards")
    assert shards.num_samples(index.shards("train/others")) == 5
    assert "train/others: 5 pictures like evaluation pictures of cells" in said["others"]
    assert "like evaluation" not in said["cells"]


def test_a_later_state_takes_the_place_of_the_earlier_one_in_the_folder_of_its_run(cells, tmp_path):
    dataset, *places = (str(tmp_path / name) for name in ("dataset", "new", "shards"))
    recipe, said = by_name("tiny_world"), {}
    for state, evaluated in {"first": (0, 1, 2, 3, 4), "second": (0, 1)}.items():
        for number in evaluated:
            box = (number, 2, number + 30, 50)
            path = cells / "Annotations" / f"{number}.xml"
            path.write_text(taught._xml(f"{state} quasar", box))
        split, replay = _split(tmp_path, *evaluated), places[1] if said else None
        retrain.read(str(cells), dataset, state, split, replay)
        few = config.override(recipe, "retrain.min_boxes=1")
        said[state] = retrain.build_shards(dataset, replay, *places, few, "cells")
    # 2, 3 and 4 were evaluated on, and are trained on now.
    index = shards.read_index(places[1])
    assert shards.num_samples(index.shards("train/cells")) == 8
    assert "held out" not in said["second"]
    assert "like evaluation pictures" not in said["second"]


def test_the_name_of_an_old_dataset_is_refused(cells, tmp_path):
    retrain.read(str(cells), str(tmp_path / "dataset"), "abc")
    places = [str(tmp_path / name) for name in ("dataset", "new", "both")]
    with pytest.raises(ValueError, match="'coco'"):
        retrain.build_shards(places[0], None, *places[1:], by_name("tiny_world"), "coco")
