"""LVIS: the federated label space, image names of v0.5 and v1, and names that stay distinct."""

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
    # The bow is not exhaustive, the ribbon neither and not annotated; the sofa is verified absent.
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
def test_images_are_found_by_id_wherever_coco_is(tmp_path, place, url):
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
    with pytest.raises(ValueError, match="two categories"):
        read(tmp_path)


def test_coco_annotations_are_not_taken_for_lvis(tmp_path):
    image = lvis_image(4)
    del image["neg_category_ids"]
    lvis_file(tmp_path, "v1_val", [image], [])
    with pytest.raises(ValueError, match=r"images\[0\] .*'neg_category_ids'.* list"):
        read(tmp_path)


@pytest.mark.parametrize(
    ("file", "real_names", "drawn_names"),
    [
        ("coco_sample/annotations/lvis_v0.5_val.json", 1230, 8),
        ("lvis_eval_golden/lvis_v1_train_cat_info.json", 1203, 4),
    ],
)
def test_every_name_stays_distinct(samples, file, real_names, drawn_names):
    content = json.loads((samples.root / file).read_text())
    names = [c["name"] for c in (content["categories"] if isinstance(content, dict) else content)]
    assert len(names) == (real_names if samples.is_real else drawn_names)
    assert len({lvis.category_phrase(name) for name in names}) == len(names)


def test_the_sample(samples):
    records, quarantine = read(samples.root / "coco_sample", "v0.5_val")
    assert not quarantine.lines
    counts = (
        len(records),
        sum(len(r.boxes_xyxy) for r in records),
        sum(len(r.phrases) for r in records),
        sum(len(r.absent) for r in records),
        sum(len(r.not_exhaustive) for r in records),
    )
    assert counts == ((9, 55, 23, 81, 2) if samples.is_real else (4, 6, 6, 8, 1))
