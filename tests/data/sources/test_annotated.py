"""The layout that reading an annotated folder leaves behind: what is shown, absent and in doubt."""

from __future__ import annotations

import json

import pytest

from omnidet.data.reading.quarantine import Quarantine
from omnidet.data.sources import annotated
from tests import toys


@pytest.fixture
def root(tmp_path):
    (tmp_path / "images").mkdir()
    (tmp_path / "annotations").mkdir()
    images = []
    for number, unknown in ((7, []), (3, [2]), (5, [])):
        name = f"{number}.png"
        (tmp_path / "images" / name).write_bytes(toys.png(40, 30, [(2, 2, 20, 20)]))
        images.append({"id": number, "file_name": name, "width": 40, "height": 30})
        images[-1]["not_exhaustive_category_ids"] = unknown
    (tmp_path / "images" / "5.png").unlink()
    box = {"bbox": [2, 2, 18, 18], "area": 324, "iscrowd": 0}
    content = {
        "images": images,
        "annotations": [
            {"id": 1, "image_id": 7, "category_id": 1, **box},
            {"id": 2, "image_id": 3, "category_id": 2, **box},
        ],
        "categories": [
            {"id": 1, "name": "cup"},
            {"id": 2, "name": "key"},
            {"id": 3, "name": "pen"},
        ],
    }
    (tmp_path / "annotations" / "train.json").write_text(json.dumps(content))
    return tmp_path


def test_what_is_not_shown_is_absent_unless_it_is_in_doubt(root):
    quarantine = Quarantine()
    first, second = annotated.read(str(root), "train", quarantine)
    assert (first.image_id, second.image_id) == ("annotated:3", "annotated:7")
    assert (first.phrases, first.absent, first.not_exhaustive) == (
        ("key",),
        ("cup", "pen"),
        ("key",),
    )
    assert (second.phrases, second.absent, second.not_exhaustive) == (("cup",), ("key", "pen"), ())
    assert first.boxes_xyxy.tolist() == [[2, 2, 20, 20]]
    assert quarantine.counts == {"annotated: record: missing image file": 1}


def test_a_split_that_is_not_there(root):
    with pytest.raises(FileNotFoundError, match=r"evaluation\.json.*omnidet finetune"):
        annotated.check(str(root), "evaluation")


def test_ids_and_truth(root):
    assert annotated.image_ids(str(root), "train") >= {"annotated:3", "annotated:7"}
    truth = annotated.ground_truth(str(root), "train")
    assert truth.names == {1: "cup", 2: "key", 3: "pen"}
