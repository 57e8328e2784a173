"""Entries that COCO, LVIS and RefCOCOg share."""

from __future__ import annotations

import pytest

from omnidet.data.tiny_world import coco_entries
from omnidet.data.tiny_world.coco_entries import CocoImage
from omnidet.data.tiny_world.scenes import Picture, Scene

PICTURE = Picture(Scene(128, ()), b"")


@pytest.mark.parametrize(
    ("role", "split", "is_held_out"),
    [
        ("train", "train2017", False),
        ("val", "val2017", True),
        ("lvis_val", "train2017", True),
        ("refcocog_test", "train2017", True),
        ("truncated image", "train2017", False),
    ],
)
def test_the_role_says_split_and_use(role, split, is_held_out):
    image = CocoImage(7, role, PICTURE)
    assert (image.split, image.is_held_out) == (split, is_held_out)
    entry = coco_entries.image_entry(image)
    assert (entry["id"], entry["file_name"]) == (7, "000000000007.jpg")
    assert entry["coco_url"].endswith(f"/{split}/000000000007.jpg")


def test_a_box_is_written_as_coco_has_it():
    found = coco_entries.outline((10, 20, 30, 50), area=123)
    assert found["bbox"] == [10, 20, 20, 30]
    assert found["area"] == 123
    (polygon,) = found["segmentation"]
    assert (min(polygon[::2]), max(polygon[::2])) == (10, 30)
    assert (min(polygon[1::2]), max(polygon[1::2])) == (20, 50)


def test_category_ids_have_gaps_and_no_duplicates():
    ids = [category["id"] for category in coco_entries.categories()]
    assert len(set(ids)) == len(ids) == 10
    assert max(ids) > len(ids)
