from __future__ import annotations

import dataclasses
from pathlib import PurePosixPath

import yaml

from omnidet.data.label_files import yolo
from tests.data.label_files import boxes


def test_a_dataset_is_read_back(tmp_path):
    boxes.write_pictures(tmp_path / "images")
    (tmp_path / "data.yaml").write_text(yolo.description(boxes.NAMES, "images"), "utf-8")
    for picture in boxes.PICTURES:
        target = tmp_path / "labels" / PurePosixPath(picture.path).with_suffix(yolo.SUFFIX)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(yolo.each(picture, boxes.NAMES))
    boxes.assert_same(tmp_path, "yolo", 1e-4)


def test_a_score_is_the_sixth_number():
    scored = dataclasses.replace(boxes.PICTURES[1], scores=[0.25])
    assert yolo.each(scored, boxes.NAMES) == "2 0.5000000 0.4999219 1.0000000 0.9998438 0.250000\n"


def test_nothing_is_an_empty_file():
    assert yolo.each(boxes.PICTURES[2], boxes.NAMES) == ""


def test_names_that_yaml_would_take_for_something_else():
    names = ["no", "7", "on: off", "null", "- a"]
    content = yaml.safe_load(yolo.description(names, "images"))
    assert list(content["names"].values()) == names
    assert content["train"] == content["val"] == "images"
