"""Categories of COCO json and the ids by which annotations speak of them."""

from __future__ import annotations

import pytest

from tests.data.annotated import drawing
from tests.data.annotated.drawing import LOSSY, Folder, scenes


def _shift(by: int):
    def change(content):
        for annotation in content["annotations"]:
            annotation["category_id"] += by

    return change


@pytest.mark.parametrize(("by", "first_id", "first"), [(-1, 1, 0), (1, 0, 1), (1, 1, 2)])
@pytest.mark.parametrize("config", [None, LOSSY])
def test_coco_in_another_numbering_is_refused(folder: Folder, by, first_id, first, config):
    folder.coco(change=_shift(by), first_id=first_id)
    said = folder.refusal(config)
    assert f"count from {first}" in said
    assert "instances_train.json" in said
    assert "max_lost" not in said


def test_coco_in_another_numbering_is_judged_over_all_files_of_the_same_categories(folder: Folder):
    """One of them has no box of the class that would tell."""
    for split, shown in (("train", ("cat", "dog")), ("val", ("cat",))):
        content = drawing.coco(folder.pictures(scenes(8, shown, prefix=split), "images"))
        _shift(1)(content)
        folder.write(f"annotations/{split}.json", content)
    assert "count from 2" in folder.refusal()


def test_places_in_a_list_of_categories_are_not_their_ids(folder: Folder):
    def change(content):
        for category, own in zip(content["categories"], (1, 5), strict=True):
            category["id"] = own
        _shift(-1)(content)

    folder.coco(change=change)
    assert "count from 0" in folder.refusal()


def test_two_categories_of_one_name_are_refused(folder: Folder):
    def change(content):
        for category in content["categories"]:
            category["name"] = "cat"

    folder.coco(change=change)
    said = folder.refusal()
    assert "category 1 and category 2" in said
    assert "instances_train.json" in said


def test_a_supercategory_of_the_name_of_its_category_is_not_in_the_way(folder: Folder):
    def change(content):
        content["categories"].insert(0, {"id": 0, "name": "cat", "supercategory": "none"})

    folder.coco(change=change)
    assert folder.num_read() == 12


def test_a_supercategory_without_boxes_is_no_sign(folder: Folder):
    """Roboflow lists one first; the last category was taken out of the list."""

    def change(content):
        content["categories"] = [
            {"id": 0, "name": "animals", "supercategory": "none"},
            {"id": 1, "name": "cat", "supercategory": "animals"},
        ]

    folder.coco(change=change)
    assert "max_lost" in folder.refusal()


@pytest.mark.parametrize(("by", "lost"), [(-1, 0), (1, 9)])
def test_annotations_that_count_the_pictures_from_another_number_are_refused(
    folder: Folder, by, lost
):
    content = drawing.coco(folder.pictures(scenes(8)))
    for annotation in content["annotations"]:
        annotation["image_id"] += by
    folder.write("a.json", content)
    said = folder.refusal(LOSSY)
    for part in ("a.json", f"image {lost}", "count the pictures from another number", "left over"):
        assert part in said


def test_an_annotation_of_a_picture_that_was_taken_out_is_only_lost(folder: Folder):
    content = drawing.coco(folder.pictures(scenes(8)))
    del content["images"][-1]
    folder.write("a.json", content)
    assert folder.num_read(LOSSY) == 7


def test_one_file_in_another_numbering_is_refused(folder: Folder):
    for part, count, by in (("train", 24, 0), ("val", 10, -1)):
        content = drawing.coco(folder.pictures(scenes(count, prefix=part), "images"))
        _shift(by)(content)
        folder.write(f"{part}.json", content)
    said = folder.refusal(LOSSY)
    for part in ("val.json", "5 of 10 boxes", "count from 0"):
        assert part in said
