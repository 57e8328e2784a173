"""LVIS: the federated label space, v0.5 and v1 names of images, and names that stay apart."""

from __future__ import annotations

import json

import pytest

from omnidet.data.reading.quarantine import Quarantine
from omnidet.data.sources import lvis
from tests.data.sources.handmade import box, jpeg, lvis_file, lvis_image, write


def read(root, split="v1_val"):
    quarantine = Quarantine()
    return list(lvis.read(str(root), split, quarantine)), quarantine


def test_label_space_is_what_was_annotated_or_verified(tmp_path):
    # Bow is there and not exhaustive, the ribbon is not exhaustive and not annotated, sofa is verified absent.
    lvis_file(
        tmp_path,
        "v1_val",
        [lvis_image(4, negative=[3, 1], partly=[1, 2])],
        [box(5, 4, 1), box(6, 4, 4)],
    )
    write(tmp_path / "val2017/000000000004.jpg", jpeg(4))
    (record,), quarantine = read(tmp_path)
    assert not quarantine.lines
    assert record.phrases == ("bow weapon", "stop sign")
    assert record.not_exhaustive == ("bow weapon",)
    assert record.absent == ("sofa",)
    assert record.boxes_xyxy.tolist() == [[1, 2, 11, 14], [1, 2, 11, 14]]


@pytest.mark.parametrize(
    "url", [None, "http://images.cocodataset.org/val2017/000000000004.jpg", "nonsense"]
)
@pytest.mark.parametrize("place", ["train2017", "val2017", "images/train2017", "images/val2017"])
def test_images_are_found_by_id_wherever_coco_stands(tmp_path, place, url):
    image = {**lvis_image(4), "file_name": "COCO_val2014_000000000004.jpg", "coco_url": url}
    lvis_file(tmp_path, "v0.5_val", [image], [])
    write(tmp_path / place / "000000000004.jpg", jpeg(4))
    assert [r.image_id for r in read(tmp_path, "v0.5_val")[0]] == ["coco:4"]


def test_faults_are_counted(tmp_path):
    faults = [box(1, 4, 3), box(1, 4, 4), box(2, 5, 3), box(3, 4, 99), box(4, 4, 4, "none")]
    lvis_file(tmp_path, "v1_val", [lvis_image(4, negative=[98, 4]), lvis_image(4)], faults)
    write(tmp_path / "val2017/000000000004.jpg", jpeg(4))
    (record,), quarantine = read(tmp_path)
    assert (record.phrases, record.absent) == (("sofa",), ())
    assert dict(quarantine.counts) == {
        "lvis: record: duplicate image id": 1,
        "lvis: box: duplicate annotation id": 1,
        "lvis: box: unknown image id": 1,
        "lvis: box: unknown category id": 1,
        "lvis: box: malformed box": 1,
        "lvis: phrase: unknown category id": 1,
    }


def test_names_that_become_the_same_words_are_refused(tmp_path):
    names = [{"id": 1, "name": "bow_(weapon)"}, {"id": 2, "name": "bow_weapon"}]
    lvis_file(tmp_path, "v1_val", [], [], names)
    with pytest.raises(ValueError, match="two categories share an id or their words"):
        read(tmp_path)


def test_coco_annotations_are_not_taken_for_lvis(tmp_path):
    image = lvis_image(4)
    del image["neg_category_ids"]
    lvis_file(tmp_path, "v1_val", [image], [])
    with pytest.raises(ValueError, match=r"images\[0\] needs 'neg_category_ids' of type list"):
        read(tmp_path)


@pytest.mark.parametrize(("version", "number"), [("v0.5", 1230), ("v1", 1203)])
def test_every_real_name_stays_apart(shared_data, version, number):
    path = {
        "v0.5": "coco_sample/annotations/lvis_v0.5_val.json",
        "v1": "lvis_eval_golden/lvis_v1_train_cat_info.json",
    }
    data = json.loads((shared_data / path[version]).read_text())
    names = [c["name"] for c in (data["categories"] if isinstance(data, dict) else data)]
    assert len(names) == len({lvis.category_phrase(name) for name in names}) == number


def test_real_sample(shared_data):
    records, quarantine = read(shared_data / "coco_sample", "v0.5_val")
    assert not quarantine.lines
    assert len(records) == 9
    assert sum(len(r.boxes_xyxy) for r in records) == 55
    assert sum(len(r.phrases) for r in records) == 23
    assert sum(len(r.absent) for r in records) == 81
    assert sum(len(r.not_exhaustive) for r in records) == 2
