"""New data beside what a detector was taught before: another split, another state, the same
camera.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from omnidet import config
from omnidet.data import shards
from omnidet.recipes import by_name
from omnidet.recipes import retrain as variants
from omnidet.recipes.photographs import of_folder
from omnidet.registry.versions import Version
from omnidet.steps import retrain
from tests import taught
from tests.steps.retrain import lines
from tests.steps.retrain.cells_folder import build, draw, split


@pytest.fixture
def cells(tmp_path):
    """Ten pictures as Pascal VOC."""
    return draw(tmp_path / "cells")


def test_pictures_that_the_champion_was_trained_on_are_not_evaluated_on(cells, tmp_path):
    retrain.read(str(cells), str(tmp_path / "first"), "abc", split(tmp_path, 0, 1, 2, 3, 4))
    places = [str(tmp_path / name) for name in ("new", "shards")]
    retrain.build_shards(str(tmp_path / "first"), None, *places, by_name("tiny_world"), "cells")
    other = split(tmp_path, 3, 4, 5, 6)  # 5 and 6 were trained on
    said = retrain.read(str(cells), str(tmp_path / "second"), "abd", other, places[1])
    assert "2 of the 4 evaluation pictures" in said
    held = json.loads((tmp_path / "second/annotations/evaluation.json").read_text())
    assert [i["source_file"] for i in held["images"]] == ["JPEGImages/3.png", "JPEGImages/4.png"]
    alone = retrain.read(str(cells), str(tmp_path / "third"), "abd", other)
    assert "evaluation pictures are trained on" not in alone
    with pytest.raises(ValueError, match="trained on 2 of the 2"):
        retrain.read(str(cells), str(tmp_path / "fourth"), "abe", split(tmp_path, 5, 6), places[1])


def test_what_the_line_of_the_champion_was_trained_on_is_not_evaluated_on(cells, tmp_path):
    """An earlier state held pictures that the last one does not, and nothing may be replayed."""
    recipe = by_name("tiny_world")
    first, _ = build(cells, "cells", split(tmp_path, 0, 1, 2, 3, 4), None, recipe)
    smaller = draw(tmp_path / "smaller")
    for number in (5, 6):
        (smaller / f"JPEGImages/{number}.png").unlink()
        (smaller / f"Annotations/{number}.xml").unlink()
    halves = split(tmp_path, 0, 1, 2, 3, 4)
    rest = Path(halves.split_file)
    rest.write_text(rest.read_text().replace("5 train\n6 train\n", ""))
    second, _ = build(smaller, "cells", halves, first, recipe)

    def version(number: int, place: str, start: str) -> Version:
        trained = {"shards": place, "dataset_version": shards.read_index(place).dataset_version}
        taught = [lines.lesson("cells", start)]
        return lines.version(tmp_path / "registry", number, {}, taught, trained)

    version(1, first, "")
    champion = version(2, second, "cups@1")
    other = split(tmp_path, 4, 5, 7)  # 5 only in the first state, 7 in both
    read = [str(cells), str(tmp_path / "out"), "abd", other]
    assert "1 of the 3 evaluation pictures" in retrain.read(*read, second)
    assert "2 of the 3 evaluation pictures" in retrain.read(*read, second, champion)
    assert "2 of the 3 evaluation pictures" in retrain.read(*read, None, champion)
    shutil.rmtree(f"{smaller}_as_cells_new")  # the index is there, and what it names is not
    assert "2 of the 3 evaluation pictures" in retrain.read(*read, None, champion)
    shutil.rmtree(first)
    assert "evaluation pictures are" not in retrain.read(*read, None, champion)


def test_other_pictures_of_the_same_camera_are_trained_on(cells, tmp_path):
    """They look like the evaluation pictures of the first folder and are none of them."""
    halves, recipe = split(tmp_path, 0, 1, 2, 3, 4), by_name("tiny_world")
    first, said = build(cells, "cells", halves, None, recipe)
    assert "like evaluation" not in said
    others = draw(tmp_path / "others", "darkred")
    both, said = build(others, "others", halves, first, recipe)
    assert shards.num_samples(shards.read_index(both).shards("train/others")) == 5
    assert "train/others: 5 pictures like evaluation pictures of cells" in said
    assert "annotated otherwise" not in said


def test_pictures_that_were_corrected_are_said_where_the_older_state_is_taught_too(cells, tmp_path):
    halves, recipe = split(tmp_path, 0, 1, 2, 3, 4), by_name("tiny_world")
    first, _ = build(cells, "cells", halves, None, recipe)
    again = draw(tmp_path / "again", moved=(1, 6, 8))
    _, said = build(again, "again", halves, first, recipe)
    assert "train/again: 2 pictures of cells annotated otherwise" in said
    assert "--name cells" in said


def test_a_later_state_of_ones_own_dataset_takes_its_place(cells, tmp_path):
    """Also where it made a new detector, whose recipe names the set as a public one."""
    halves = split(tmp_path, 0, 1, 2, 3, 4)
    recipe = variants.without(of_folder(by_name("photographs"), "cells"), "cells")
    first, _ = build(cells, "cells", halves, None, by_name("tiny_world"))
    again = draw(tmp_path / "again", moved=(6, 8))
    both, said = build(again, "cells", halves, first, recipe)
    assert "annotated otherwise" not in said
    assert "like evaluation" not in said
    index = shards.read_index(both)
    corners = [r.boxes_xyxy[0, 0] for r in shards.texts(index, "train/cells")]
    assert sorted(corners) == [4, 6, 8, 10, 12]  # VOC counts from 1; 6 and 8 were moved by 5
    taught = variants.retraining(recipe, recipe.model, index, "cells")
    assert [(s.name, s.images_per_step) for s in taught.streams] == [("new", 8)]
    assert [b.name for b in taught.evaluation.benchmarks] == ["cells"]


def test_a_later_state_takes_the_place_of_the_earlier_one_in_the_folder_of_its_run(cells, tmp_path):
    dataset, *places = (str(tmp_path / name) for name in ("dataset", "new", "shards"))
    recipe, said = by_name("tiny_world"), {}
    for state, evaluated in {"first": (0, 1, 2, 3, 4), "second": (0, 1)}.items():
        for number in evaluated:
            box = (number, 2, number + 30, 50)
            path = cells / "Annotations" / f"{number}.xml"
            path.write_text(taught._xml(f"{state} quasar", box))
        halves, replay = split(tmp_path, *evaluated), places[1] if said else None
        retrain.read(str(cells), dataset, state, halves, replay)
        few = config.override(recipe, "retrain.min_boxes=1")
        said[state] = retrain.build_shards(dataset, replay, *places, few, "cells")
    # 2, 3 and 4 were evaluated on, and are trained on now.
    index = shards.read_index(places[1])
    assert shards.num_samples(index.shards("train/cells")) == 8
    assert "held out" not in said["second"]
    assert "like evaluation pictures" not in said["second"]
