"""Images, categories and annotations in COCO's JSON format."""

from __future__ import annotations

import json

import pytest

from omnidet.data.reading import coco_json
from omnidet.data.reading.quarantine import Quarantine

NAMES = {1: "dog", 2: "cat"}


def write(folder, **content):
    (folder / "a.json").write_text(json.dumps(content), encoding="utf-8")
    return str(folder)


def test_lists_and_ground_truth_of_a_file(tmp_path):
    root = write(
        tmp_path,
        images=[{"id": 3, "width": 4, "licence": 1}],
        categories=[{"id": 1, "name": " hot\ndog ", "supercategory": "food"}],
        annotations=[{"id": 1}],
    )
    assert coco_json.lists(root, "a.json", "", {"images": ("id", "width")}) == {
        "images": [{"id": 3, "width": 4}]
    }
    assert coco_json.image_ids(root, "a.json", "", {"id": int}) == {3}
    truth = coco_json.ground_truth(root, "a.json", "")
    assert (truth.path, truth.names) == (f"{root}/a.json", {1: "hot dog"})
    assert coco_json.ground_truth(root, "a.json", "", str.upper).names == {1: " HOT\nDOG "}


@pytest.mark.parametrize(
    "second", [{"id": 1, "name": "cat"}, {"id": 2, "name": " dog"}], ids=["id", "words"]
)
def test_categories_that_are_the_same_are_an_error(second):
    content = {"categories": [{"id": 1, "name": "dog"}, second]}
    with pytest.raises(ValueError, match=r"a\.json: two categories"):
        coco_json.categories(content, "a.json")


def test_images_and_their_annotations():
    quarantine = Quarantine()
    content = {"images": [{"id": 1}, {"id": 1}, {"id": 2}]}
    found = coco_json.images(content, {"id": int}, "a.json", "toy", quarantine)
    assert list(found) == [1, 2]
    entries = [{"id": 5, "image_id": 1}, {"id": 5, "image_id": 2}, {"id": 6, "image_id": 9}]
    known = coco_json.known(entries, found, "toy", quarantine)
    assert list(known) == entries[:1]
    assert quarantine.counts == {
        "toy: record: duplicate image id": 1,
        "toy: box: duplicate annotation id": 1,
        "toy: box: unknown image id": 1,
    }
    assert "annotation 6 of image 9" in quarantine.lines[-1]


def test_targets_and_names_that_stand_for_more_than_their_boxes():
    quarantine = Quarantine()
    entries = [
        {"id": 1, "category_id": 1, "bbox": [0, 0, 2, 2]},
        {"id": 2, "category_id": 2, "bbox": [1, 1, 2, 2], "iscrowd": 1},
        {"id": 3, "category_id": 1, "bbox": [1, 1, 2]},
        {"id": 4, "category_id": 7, "bbox": [1, 1, 2, 2]},
        {"id": 5, "category_id": [], "bbox": [1, 1, 2, 2]},
        {"id": 6, "bbox": [1, 1, 2, 2]},
    ]
    targets, unclear = coco_json.regions(entries, NAMES, "toy", quarantine)
    assert targets.boxes_xyxy.tolist() == [[0, 0, 2, 2]]
    assert targets.phrases == ("dog",)
    assert unclear == {"cat", "dog"}
    assert quarantine.counts == {"toy: box: malformed box": 1, "toy: box: unknown category id": 3}
