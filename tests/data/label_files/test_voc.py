from __future__ import annotations

import dataclasses
from pathlib import PurePosixPath
from xml.etree import ElementTree

from omnidet.data.label_files import voc
from tests.data.label_files import boxes


def test_a_dataset_is_read_back(tmp_path):
    boxes.write_pictures(tmp_path / "images")
    for picture in boxes.PICTURES:
        target = tmp_path / "Annotations" / PurePosixPath(picture.path).with_suffix(voc.SUFFIX)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(voc.each(picture, boxes.NAMES), "utf-8")
    boxes.assert_same(tmp_path, "voc", 0.006)


def test_pixels_count_from_one():
    root = ElementTree.fromstring(voc.each(boxes.PICTURES[0], boxes.NAMES))
    frames = [[side.text for side in frame] for frame in root.iter("bndbox")]
    assert frames == [["2.25", "3.5", "20.75", "28"], ["41", "1", "90", "30"]]
    assert root.findtext("filename") == "a.png"
    assert root.find("object/confidence") is None


def test_a_score_is_a_confidence():
    scored = dataclasses.replace(boxes.PICTURES[1], scores=[0.25])
    root = ElementTree.fromstring(voc.each(scored, boxes.NAMES))
    assert root.findtext("object/confidence") == "0.250000"
