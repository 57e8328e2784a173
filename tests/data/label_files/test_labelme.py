from __future__ import annotations

import dataclasses
import json
from pathlib import PurePosixPath

from omnidet.data.label_files import labelme
from tests.data.label_files import boxes


def test_a_dataset_is_read_back(tmp_path):
    boxes.write_pictures(tmp_path / "images")
    for picture in boxes.PICTURES:
        target = tmp_path / "images" / PurePosixPath(picture.path).with_suffix(labelme.SUFFIX)
        target.write_text(labelme.each(picture, boxes.NAMES), "utf-8")
    boxes.assert_same(tmp_path, "labelme", 1e-6)


def test_a_score_is_a_description():
    scored = dataclasses.replace(boxes.PICTURES[1], scores=[0.25])
    (shape,) = json.loads(labelme.each(scored, boxes.NAMES))["shapes"]
    assert "0.250" in shape["description"]
    assert "description" not in json.loads(labelme.each(boxes.PICTURES[1], ()))["shapes"][0]
