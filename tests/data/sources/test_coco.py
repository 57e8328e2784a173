"""COCO: the label space of an image, crowds, and faulty files."""

from __future__ import annotations

import json

import numpy as np
import pytest

from omnidet.data.reading.quarantine import Quarantine
from omnidet.data.sources import coco
from tests.data.sources.handmade import CATEGORIES, box, coco_files, coco_image, jpeg, write


def read(root):
    quarantine = Quarantine()
    return {r.image_id: r for r in coco.read(str(root), "val2017", quarantine)}, quarantine


def test_names_boxes_and_the_rest_of_the_80_absent(tmp_path):
    coco_files(
        tmp_path,
        [coco_image(1)],
        [box(1, 1, 3, (1, 2, 10, 12)), box(2, 1, 1, (0, 0, 5, 5)), box(3, 1, 3, (4, 4, 2, 2))],
    )
    record = read(tmp_path)[0]["coco:1"]
    assert record.phrases == ("car", "person")
    assert record.phrase_boxes == ((0, 2), (1,))
    assert record.absent == ("hot dog",)
    assert record.not_exhaustive == ()
    np.testing.assert_array_equal(record.boxes_xyxy, [[1, 2, 11, 14], [0, 0, 5, 5], [4, 4, 6, 6]])


def test_a_crowd_is_not_a_target_and_its_name_is_neither_exhaustive_nor_absent(tmp_path):
    crowds = [box(1, 1, 3, iscrowd=1), box(2, 1, 3), box(3, 1, 1, iscrowd=1)]
    coco_files(tmp_path, [coco_image(1)], crowds)
    record = read(tmp_path)[0]["coco:1"]
    assert (record.phrases, record.phrase_boxes, record.not_exhaustive, record.absent) == (
        ("car",),
        ((0,),),
        ("car",),
        ("hot dog",),
    )


def test_a_file_that_is_listed_once_per_box_is_one_image(tmp_path):
    listed = [
        coco_image(1),
        coco_image(2) | {"file_name": coco_image(1)["file_name"]},
        coco_image(3),
    ]
    coco_files(tmp_path, listed, [box(1, 1, 3, (1, 2, 9, 9)), box(2, 2, 1, (3, 3, 5, 5))])
    found = read(tmp_path)[0]
    assert found["coco:1"].phrases == ("car", "person")
    assert found["coco:1"].absent == ("hot dog",)
    assert set(found) == coco.image_ids(str(tmp_path), "val2017") == {"coco:1", "coco:3"}
    truth = coco.ground_truth(str(tmp_path), "val2017")
    assert truth is not None
    assert truth.content is not None
    content = json.loads(truth.content)
    assert [image["id"] for image in content["images"]] == [1, 3]
    assert [entry["image_id"] for entry in content["annotations"]] == [1, 1]
    assert "car" in truth.names.values()


def test_a_box_of_an_unknown_category_may_be_of_any_name(tmp_path):
    coco_files(tmp_path, [coco_image(1)], [box(1, 1, 3, (1, 2, 9, 9)), box(2, 1, 77, (3, 3, 5, 5))])
    record = read(tmp_path)[0]["coco:1"]
    assert (record.phrases, record.not_exhaustive, record.absent) == (("car",), ("car",), ())


def test_an_image_without_boxes_is_a_negative(tmp_path):
    coco_files(tmp_path, [coco_image(1)], [])
    record = read(tmp_path)[0]["coco:1"]
    assert (len(record.boxes_xyxy), record.phrases, record.absent) == (
        0,
        (),
        ("person", "car", "hot dog"),
    )


def test_an_image_with_captions_only_has_no_absent_names(tmp_path):
    coco_files(tmp_path, [coco_image(1)], [])
    captions = [
        {"id": 1, "image_id": 5, "caption": " A  man.\n"},
        {"id": 2, "image_id": 5, "caption": "A dog."},
    ]
    captions += [
        {"id": 3, "image_id": 5, "caption": "A dog."},
        {"id": 4, "image_id": 5, "caption": " "},
    ]
    write(
        tmp_path / "annotations/captions_val2017.json",
        {"images": [coco_image(5)], "annotations": captions},
    )
    write(tmp_path / "images/val2017/000000000005.jpg", jpeg(5))
    records, quarantine = read(tmp_path)
    assert list(records) == ["coco:1", "coco:5"]
    assert (records["coco:5"].caption, records["coco:5"].absent) == ("A man. . A dog.", ())
    assert dict(quarantine.counts) == {"coco: caption: empty caption": 1}
    assert coco.image_ids(str(tmp_path), "val2017") == {"coco:1", "coco:5"}


def test_faults_are_counted_and_the_first_of_two_wins(tmp_path):
    images = [coco_image(1), coco_image(1, width=99)]
    faults = [
        box(1, 1, 3),
        box(1, 1, 1),
        box(2, 77, 1),
        box(3, 1, 55),
        box(4, 1, 1, (1, 2)),
        box(5, 1, 3, (1, 2, -5, 1e300)),
    ]
    coco_files(tmp_path, images, faults)
    records, quarantine = read(tmp_path)
    record = records["coco:1"]
    assert record.width == 40
    assert record.phrase_boxes == ((0, 1),)  # the odd box is left to quarantine.clean
    assert record.absent == ()  # a box of an unknown category may be of any name
    assert dict(quarantine.counts) == {
        "coco: record: duplicate image id": 1,
        "coco: box: duplicate annotation id": 1,
        "coco: box: unknown image id": 1,
        "coco: box: unknown category id": 1,
        "coco: box: malformed box": 1,
    }


@pytest.mark.parametrize("name", ["../secret.jpg", "/etc/hostname"])
def test_a_file_name_leads_nowhere_else(tmp_path, name):
    coco_files(tmp_path / "coco", [], [])
    write(tmp_path / "coco/secret.jpg", jpeg(1))
    data = {
        "images": [{**coco_image(1), "file_name": name}],
        "annotations": [],
        "categories": CATEGORIES,
    }
    write(tmp_path / "coco/annotations/instances_val2017.json", data)
    records, quarantine = read(tmp_path / "coco")
    assert not records
    assert dict(quarantine.counts) == {"coco: record: missing image file": 1}


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("{", "not JSON"),
        (b"\xff\xfe\x00", "not JSON"),
        ("[" * 100_000, "not JSON"),
        ([], "'categories'"),
        ({"categories": CATEGORIES}, "'images'"),
        (
            {"categories": CATEGORIES, "images": [{"id": 1}]},
            r"images\[0\] .*'file_name'.* str",
        ),
        ({"categories": CATEGORIES, "images": [3]}, r"images\[0\] .*'id'.* int.* 3"),
        (
            {"categories": CATEGORIES, "images": [], "annotations": [{"id": "x"}]},
            r"annotations\[0\] .*'id'.* int",
        ),
        (
            {"categories": [{"id": 1, "name": "a"}, {"id": 2, "name": "a"}]},
            "two categories",
        ),
    ],
)
def test_what_is_not_in_the_format_is_named(tmp_path, content, problem):
    path = write(tmp_path / "annotations/instances_val2017.json", content)
    with pytest.raises(ValueError, match=problem) as caught:
        read(tmp_path)
    assert str(path) in str(caught.value)


# Whether the samples are real, split: images, boxes, crowds, phrases in images, absent names, names
# that are not exhaustive, images without boxes, captions
COUNTS = {
    (True, "train2017"): (105, 943, 10, 402, 7998, 10, 1, 101),
    (True, "val2017"): (82, 589, 7, 225, 4015, 7, 29, 82),
    (False, "train2017"): (17, 24, 2, 24, 55, 1, 5, 16),
    (False, "val2017"): (8, 12, 1, 12, 28, 1, 2, 8),
}


@pytest.mark.parametrize("split", ["train2017", "val2017"])
def test_the_sample(samples, split):
    root, quarantine = samples.root / "coco_sample", Quarantine()
    records = list(coco.read(str(root), split, quarantine))
    assert not quarantine.lines
    content = json.loads((root / f"annotations/instances_{split}.json").read_text())
    assert (
        len(records),
        sum(len(r.boxes_xyxy) for r in records),
        sum(a["iscrowd"] for a in content["annotations"]),
        sum(len(r.phrases) for r in records),
        sum(len(r.absent) for r in records),
        sum(len(r.not_exhaustive) for r in records),
        sum(not len(r.boxes_xyxy) for r in records),
        sum(bool(r.caption) for r in records),
    ) == COUNTS[samples.is_real, split]
    names = {category["name"] for category in content["categories"]}
    assert all({*r.phrases, *r.absent} <= names for r in records)
