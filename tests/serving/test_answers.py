"""Detections as the JSON of an answer."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from omnidet.serving import answers, tensors
from omnidet.serving.batching import Found
from omnidet.serving.requests import Question

QUESTION = Question((b"", b""), ("red star", "ring"), 0.0, 10)


@pytest.fixture
def found() -> list[Found]:
    """Nothing in the first image, two detections in the second."""
    nothing = Found(np.zeros((0, 4), np.float32), np.zeros(0), np.zeros(0, np.int64), 7, 7)
    boxes = np.array([[1, 2, 3.456, 4], [0, 0, 1, 1]], np.float32)
    return [nothing, Found(boxes, np.array([0.5, 0.25]), np.array([1, 0]), 9, 8)]


EVERYTHING = dict.fromkeys(("images", "boxes", "scores", "phrases"), False)


def _answer(found: list[Found], wanted: tensors.Wanted, *warnings: str) -> dict[str, Any]:
    body, length = answers.to_tensors(wanted, QUESTION, found, "toy", "3", warnings)
    assert length is None
    return json.loads(body)


def test_tensors(found):
    whole = _answer(found, tensors.Wanted("abc", EVERYTHING))
    assert (whole["id"], whole["model_name"], whole["model_version"]) == ("abc", "toy", "3")
    outputs = {item["name"]: item for item in whole["outputs"]}
    images = {"name": "images", "datatype": "INT64", "shape": [2], "data": [1, 1]}
    assert outputs["images"] == images
    assert outputs["boxes"]["shape"] == [2, 4]
    assert outputs["boxes"]["data"] == [1, 2, 3.46, 4, 0, 0, 1, 1]
    assert outputs["phrases"]["data"] == ["ring", "red star"]
    assert [item["name"] for item in answers.metadata("toy", "3")["outputs"]] == list(outputs)


def test_only_the_tensors_that_are_asked_for(found):
    few = _answer(found, tensors.Wanted(None, {"scores": False}), "look", "twice")
    scores = {"name": "scores", "datatype": "FP32", "shape": [2], "data": [0.5, 0.25]}
    assert few["outputs"] == [scores]
    assert "id" not in few
    assert few["parameters"] == {"warnings": "look | twice"}


def test_binary_tensors(found):
    wanted = tensors.Wanted(None, {"images": True, "boxes": True, "scores": False, "phrases": True})
    body, length = answers.to_tensors(wanted, QUESTION, found, "toy", "3")
    outputs = json.loads(body[:length])["outputs"]
    assert [item.get("parameters") for item in outputs] == [
        {"binary_data_size": 16},
        {"binary_data_size": 32},
        None,
        {"binary_data_size": 20},
    ]
    assert np.frombuffer(body[length : length + 16], "<i8").tolist() == [1, 1]
    boxes = np.frombuffer(body[length + 16 : length + 48], "<f4")
    assert boxes.tolist() == pytest.approx([1, 2, 3.46, 4, 0, 0, 1, 1])
    assert body[length + 48 :] == b"\x04\0\0\0ring\x08\0\0\0red star"


def test_a_refusal_is_one_line_whatever_it_quotes():
    content = json.loads(answers.error("no \ud800 \x1b[31m\u202e\nsecond" + "x" * 9999))
    assert content["error"].startswith(r"no \ud800 \x1b[31m\u202e second")
    assert len(content["error"]) < 600


def test_plain_objects(found):
    plain = answers.to_plain(found[1], QUESTION.phrases)
    assert plain["detections"][0] == {"box": [1, 2, 3.46, 4], "score": 0.5, "phrase": "ring"}
    assert (plain["width"], plain["height"]) == (9, 8)
    assert answers.to_plain(found[0], QUESTION.phrases)["detections"] == []
