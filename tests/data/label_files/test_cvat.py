from __future__ import annotations

import dataclasses
from xml.etree import ElementTree

from omnidet.data.label_files import cvat
from tests.data.label_files import boxes


def test_a_dataset_is_read_back(tmp_path):
    boxes.write_pictures(tmp_path / "images")
    text = "".join(cvat.whole(boxes.PICTURES, boxes.NAMES))
    (tmp_path / "annotations.xml").write_text(text, "utf-8")
    boxes.assert_same(tmp_path, "cvat", 0.006)


def test_labels_and_where_boxes_come_from():
    scored = dataclasses.replace(boxes.PICTURES[0], scores=[0.9, 0.5])
    root = ElementTree.fromstring("".join(cvat.whole([scored, boxes.PICTURES[1]], boxes.NAMES)))
    assert [label.text for label in root.iter("name")] == list(boxes.NAMES)
    assert [box.get("source") for box in root.iter("box")] == ["auto", "auto", "manual"]
    assert [image.get("id") for image in root.iter("image")] == ["0", "1"]
