from __future__ import annotations

import dataclasses
import json

from omnidet.data.label_files import coco
from tests.data.label_files import boxes


def test_a_dataset_is_read_back(tmp_path):
    boxes.write_pictures(tmp_path / "images")
    text = "".join(coco.whole(boxes.PICTURES, boxes.NAMES))
    (tmp_path / "annotations.json").write_text(text, "utf-8")
    boxes.assert_same(tmp_path, "coco", 1e-6)
    content = json.loads(text)
    assert [c["name"] for c in content["categories"]] == list(boxes.NAMES)
    assert content["annotations"][0]["area"] == round(19.5 * 25.5, 2)


def test_ids_of_pictures_are_those_that_are_given():
    content = json.loads("".join(coco.whole(boxes.PICTURES, boxes.NAMES, [7, 5, 9, 11])))
    assert [image["id"] for image in content["images"]] == [7, 5, 9, 11]
    assert [a["image_id"] for a in content["annotations"]] == [7, 7, 5, 11]
    assert [a["id"] for a in content["annotations"]] == [1, 2, 3, 4]


def test_results_have_scores():
    scored = [dataclasses.replace(boxes.PICTURES[0], scores=[0.9, 0.5])]
    found = json.loads("".join(coco.results(scored, boxes.NAMES, [139])))
    assert found == [
        {"image_id": 139, "category_id": 1, "bbox": [1.25, 2.5, 19.5, 25.5], "score": 0.9},
        {"image_id": 139, "category_id": 2, "bbox": [40, 0, 50, 30], "score": 0.5},
    ]


def test_nothing_is_a_list_or_a_dataset_of_nothing():
    assert json.loads("".join(coco.results([], (), []))) == []
    empty = json.loads("".join(coco.whole([], ("a",))))
    assert empty["images"] == empty["annotations"] == []
