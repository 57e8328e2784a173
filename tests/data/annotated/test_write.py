"""What is written is what the source reads, and what the official evaluation reads."""

from __future__ import annotations

import json

import pytest

from omnidet.data.annotated import cut, write
from omnidet.data.annotated.read import read
from omnidet.data.reading.quarantine import Quarantine
from omnidet.data.sources import annotated
from tests.data.annotated.drawing import LOSSY, Folder


@pytest.fixture
def out(tmp_path):
    folder = tmp_path / "out"
    folder.mkdir()
    return folder


def test_the_source_reads_back_what_was_written(folder: Folder, out):
    folder.coco(8)
    summary = write.write(cut.cut(read(folder.root)), out, "v1")
    assert summary == json.loads((out / write.SUMMARY_NAME).read_text())
    assert summary["version"] == "v1"
    assert summary["counts"] == {
        "train": {"pictures": 8, "boxes": 8}, "evaluation": {"pictures": 4, "boxes": 4},
    }  # fmt: skip
    assert summary["account"]["boxes"]["kept"] == 12
    quarantine = Quarantine()
    records = [r for split in write.SPLITS for r in annotated.read(str(out), split, quarantine)]
    assert quarantine.lines == []
    assert len(records) == 12
    for record in records:
        assert len(record.boxes_xyxy) == 1
        assert {*record.phrases, *record.absent} == {"cat", "dog"}
        assert record.image in [p.read_bytes() for p in (folder.root / "images").iterdir()]


def test_a_name_in_doubt_is_neither_hit_nor_miss_in_the_truth(folder: Folder, out):
    def spoil(content):
        content["annotations"][0]["bbox"] = "1 2 3 4"

    folder.coco(8, spoil)
    write.write(cut.cut(read(folder.root, LOSSY)), out, "v1")
    content = json.loads((out / "annotations" / "evaluation.json").read_text())
    doubted = [i for i in content["images"] if i["not_exhaustive_category_ids"]]
    assert len(doubted) == 1
    truth = json.loads((out / write.TRUTH / "evaluation.json").read_text())
    (crowd,) = [a for a in truth["annotations"] if a["iscrowd"]]
    assert crowd["image_id"] == doubted[0]["id"]
    assert crowd["bbox"] == [0, 0, doubted[0]["width"], doubted[0]["height"]]


def test_the_same_picture_has_the_same_id_in_every_version(folder: Folder, tmp_path):
    folder.coco(8)
    ids = []
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        write.write(cut.cut(read(folder.root)), tmp_path / name, name)
        content = json.loads((tmp_path / name / "annotations" / "train.json").read_text())
        ids.append([image["id"] for image in content["images"]])
    assert ids[0] == ids[1]
    assert len(set(ids[0])) == 8
