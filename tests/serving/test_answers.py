"""Detections as the JSON of an answer."""

from __future__ import annotations

import numpy as np
import pytest

from omnidet.inference.detector import Detections
from omnidet.serving import answers
from omnidet.serving.requests import Question

QUESTION = Question((b"", b""), ("red star", "ring"), 0.0, 10)


@pytest.fixture
def found() -> list[Detections]:
    """Nothing in the first image, two detections in the second."""
    nothing = Detections(np.zeros((0, 4), np.float32), np.zeros(0), np.zeros(0, np.int64), 7, 7)
    boxes = np.array([[1, 2, 3.456, 4], [0, 0, 1, 1]], np.float32)
    return [nothing, Detections(boxes, np.array([0.5, 0.25]), np.array([1, 0]), 9, 8)]


def test_tensors(found):
    whole = answers.to_tensors({"id": "abc"}, QUESTION, found, "toy", "3")
    assert (whole["id"], whole["model_name"], whole["model_version"]) == ("abc", "toy", "3")
    outputs = {item["name"]: item for item in whole["outputs"]}
    images = {"name": "images", "datatype": "INT64", "shape": [2], "data": [1, 1]}
    assert outputs["images"] == images
    assert outputs["boxes"]["shape"] == [2, 4]
    assert outputs["boxes"]["data"] == [1, 2, 3.46, 4, 0, 0, 1, 1]
    assert outputs["phrases"]["data"] == ["ring", "red star"]
    assert [item["name"] for item in answers.metadata("toy", "3")["outputs"]] == list(outputs)


def test_only_the_tensors_that_are_asked_for(found):
    content = {"id": 7, "outputs": [{"name": "scores"}]}
    few = answers.to_tensors(content, QUESTION, found, "toy", "3")
    scores = {"name": "scores", "datatype": "FP32", "shape": [2], "data": [0.5, 0.25]}
    assert few["outputs"] == [scores]
    assert "id" not in few  # the protocol has text there


def test_plain_objects(found):
    plain = answers.to_plain(found[1], QUESTION.phrases)
    assert plain["detections"][0] == {"box": [1, 2, 3.46, 4], "score": 0.5, "phrase": "ring"}
    assert (plain["width"], plain["height"]) == (9, 8)
    assert answers.to_plain(found[0], QUESTION.phrases)["detections"] == []
