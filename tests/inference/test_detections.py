"""What was found, in the forms in which others want it."""

from __future__ import annotations

import json

import numpy as np
import pytest

from omnidet.inference.detections import Detections
from tests import toys


def _found(**more) -> Detections:
    boxes = np.array([[1, 2, 11, 22], [3, 4, 8, 9.126]], np.float32)
    scores = np.array([0.9, 0.25], np.float32)
    return Detections(boxes, scores, np.array([1, 0]), 60, 30, ("ring", "star"), **more)


def test_labels_are_what_was_asked_for():
    found = _found()
    assert found.labels == ["star", "ring"]
    assert len(found) == 2
    assert found.boxes is found.boxes_xyxy


def test_plain_objects_say_which_phrase_a_name_was_found_by():
    said = _found(matched=("pentagram", "ring")).to_dict()
    assert (said["width"], said["height"]) == (60, 30)
    assert said["detections"][0] == {
        "box": [1.0, 2.0, 11.0, 22.0],
        "score": 0.9,
        "label": "star",
        "phrase": "pentagram",
    }
    assert said["detections"][1] == {"box": [3.0, 4.0, 8.0, 9.13], "score": 0.25, "label": "ring"}
    assert json.loads(json.dumps(said)) == said


def test_coco_results_have_width_and_height_and_the_ids_that_are_given():
    first, second = _found().to_coco(7)
    assert first == {"image_id": 7, "category_id": 2, "bbox": [1, 2, 10, 20], "score": 0.9}
    assert second["category_id"] == 1
    assert [r["category_id"] for r in _found().to_coco(7, {"star": 40, "ring": 5})] == [40, 5]
    with pytest.raises(ValueError, match="'ring'"):
        _found().to_coco(7, {"star": 40})
    with pytest.raises(ValueError, match="category_ids"):
        _found().to_coco(7, {})


def test_supervision_takes_boxes_scores_and_names():
    supervision = pytest.importorskip("supervision")
    handed = _found().to_supervision()
    assert isinstance(handed, supervision.Detections)
    np.testing.assert_allclose(handed.xyxy, _found().boxes)
    np.testing.assert_allclose(handed.confidence, [0.9, 0.25])
    assert handed.data["class_name"].tolist() == ["star", "ring"]
    assert len(handed[handed.confidence > 0.5]) == 1


def test_supervision_takes_nothing_too():
    pytest.importorskip("supervision")
    nothing = np.zeros((0, 4), np.float32)
    handed = Detections(nothing, np.zeros(0), np.zeros(0, np.int64), 9, 9, ("a",)).to_supervision()
    assert len(handed) == 0
    assert handed.xyxy.shape == (0, 4)


def test_drawing_needs_the_picture():
    assert _found(image=toys.png(60, 30, [])).draw().size == (480, 240)
    with pytest.raises(ValueError, match="picture"):
        _found().draw()
