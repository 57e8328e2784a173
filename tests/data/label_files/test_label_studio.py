from __future__ import annotations

import dataclasses
import json
from xml.etree import ElementTree

from omnidet.data.label_files import label_studio
from tests.data.label_files import boxes


def _below_images(pictures=boxes.PICTURES):
    return [dataclasses.replace(p, path=f"images/{p.path}") for p in pictures]


def test_a_dataset_is_read_back(tmp_path):
    boxes.write_pictures(tmp_path / "images")
    text = "".join(label_studio.whole(_below_images(), boxes.NAMES))
    (tmp_path / "tasks.json").write_text(text, "utf-8")
    (tmp_path / "interface.xml").write_text(label_studio.interface(boxes.NAMES), "utf-8")
    boxes.assert_same(tmp_path, "label-studio", 1e-4)


def test_boxes_with_scores_are_predictions():
    scored = dataclasses.replace(boxes.PICTURES[0], scores=[0.9, 0.5])
    (task,) = json.loads("".join(label_studio.whole([scored], boxes.NAMES)))
    assert "annotations" not in task
    (prediction,) = task["predictions"]
    assert [region["score"] for region in prediction["result"]] == [0.9, 0.5]
    assert prediction["score"] == 0.9
    assert task["data"]["image"] == "/data/local-files/?d=a.png"


def test_an_address_stays_an_address():
    there = dataclasses.replace(boxes.PICTURES[0], path="https://example.org/a b.png?x=1")
    (task,) = json.loads("".join(label_studio.whole([there], boxes.NAMES)))
    assert task["data"]["image"] == there.path


def test_the_interface_offers_every_name():
    root = ElementTree.fromstring(label_studio.interface(boxes.NAMES))
    assert [label.get("value") for label in root.iter("Label")] == list(boxes.NAMES)
    assert json.loads("".join(label_studio.whole([], ()))) == []
