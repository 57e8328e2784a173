"""Tensors of the Open Inference Protocol, in JSON and as binary data."""

from __future__ import annotations

import base64
import json
import struct
from typing import Any

import pytest

from omnidet.serving import tensors
from omnidet.serving.config import Limits

LIMITS = Limits(max_images=2, max_phrases=3, max_detections=50)
IMAGE = b"\x89PNG not looked at here"
TEXT = base64.b64encode(IMAGE).decode()


def _tensor(name: str, data: Any, **other: Any) -> dict[str, Any]:
    return {"name": name, "datatype": "BYTES", "shape": [len(data)], "data": data, **other}


INPUTS = [_tensor("image", [TEXT]), _tensor("phrases", ["a", "b"])]


def _read(content: dict[str, Any], binary: bytes = b"", header: str | None = None) -> Any:
    head = json.dumps(content).encode()
    if binary and header is None:
        header = str(len(head))
    return tensors.read(head + binary, header, LIMITS)


def _packed(*elements: bytes) -> bytes:
    return b"".join(struct.pack("<I", len(e)) + e for e in elements)


def _binary(name: str, content: bytes, count: int, **other: Any) -> dict[str, Any]:
    parameters = {"binary_data_size": len(content)}
    return {
        "name": name,
        "datatype": "BYTES",
        "shape": [count],
        "parameters": parameters,
        **other,
    }


def test_json():
    asked = {"threshold": 0.25, "max_detections": 5, "no_overlaps": True}
    asked |= {"binary_data_output": False}
    assert _read({"inputs": INPUTS[:1]})[0].phrases == ()  # the detector's own names
    nested = [_tensor("phrases", [["a", "b"]], shape=[1, 2]), INPUTS[0]]
    for inputs in (INPUTS, nested):
        question, wanted = _read({"id": "7", "inputs": inputs, "parameters": asked})
        assert (question.images, question.phrases) == ((IMAGE,), ("a", "b"))
        assert (question.threshold, question.max_detections) == (0.25, 5)
        assert question.no_overlaps
        assert wanted.id == "7"
        assert wanted.outputs == dict.fromkeys(("images", "boxes", "scores", "phrases"), False)


def test_binary():
    images, phrases = _packed(IMAGE, b""), _packed("Öl".encode())
    inputs = [_binary("image", images, 2), _binary("phrases", phrases, 1)]
    outputs = [{"name": "boxes", "parameters": {"binary_data": False}}, {"name": "scores"}]
    question, wanted = _read(
        {"inputs": inputs, "outputs": outputs, "parameters": {"binary_data_output": True}},
        images + phrases,
    )
    assert (question.images, question.phrases) == ((IMAGE, b""), ("Öl",))
    assert wanted.outputs == {"boxes": False, "scores": True}
    mixed = [INPUTS[0], _binary("phrases", phrases, 1)]
    assert _read({"inputs": mixed}, phrases)[0].phrases == ("Öl",)


def _with(name: str, **other: Any) -> dict[str, Any]:
    return {"inputs": [{**t, **other} if t["name"] == name else t for t in INPUTS]}


WRONG: list[tuple[dict[str, Any], str]] = [
    ({}, '"inputs" must be a list'),
    ({"inputs": [INPUTS[1]]}, '"inputs" holds phrases'),
    ({"inputs": [INPUTS[0]] * 2}, '"inputs" holds image'),
    ({"inputs": [*INPUTS, INPUTS[0]]}, '"inputs" holds image, image, phrases'),
    (_with("image", datatype="UINT8"), "'UINT8'"),
    (_with("image", datatype=None), "datatype None"),
    (_with("image", shape=[2]), r"shape \[2\] and 1 elements"),
    (_with("image", shape="1"), "no valid shape"),
    (_with("image", shape=[]), "no valid shape"),
    (_with("image", shape=[True]), "no valid shape"),
    (_with("image", shape=[1.0]), "no valid shape"),
    (_with("image", shape=[-1]), "no valid shape"),
    (_with("image", shape=[10**30, 0]), "no valid shape"),
    (_with("phrases", shape=[2], data=[["a", "b"]]), "nested otherwise"),
    (_with("phrases", shape=[2, 1], data=[["a"], ["b", "c"]]), "nested otherwise"),
    (_with("phrases", data=[["a"], [["b"]]], shape=[2, 1]), "phrase 1 is"),
    (_with("image", data=None), 'has no list "data"'),
    (_with("image", data=[TEXT] * 3, shape=[3]), "3 images.*2"),
    (_with("image", data=[], shape=[0]), "0 images"),
    (_with("image", dataa=1), "'dataa'"),
    (_with("image", parameters={"binary_size": 3}), "'binary_size'"),
    (_with("image", parameters=[]), "must be an object"),
    ({"inputs": INPUTS, "parameters": 1}, '"parameters" of the request must be'),
    ({"inputs": INPUTS, "parameters": {"treshold": 1}}, "'treshold'"),
    ({"inputs": INPUTS, "parameters": {"threshold": 10**401}}, "threshold of more than"),
    ({"inputs": INPUTS, "parameters": {"binary_data_output": 1}}, "binary_data_output 1"),
    ({"inputs": INPUTS, "model": "x"}, "'model'"),
    ({"inputs": INPUTS, "id": 7}, '"id" must be text'),
    ({"inputs": INPUTS, "id": "a\nb"}, '"id" must be text'),
    ({"inputs": INPUTS, "id": "\ud800"}, '"id" must be text'),
    ({"inputs": INPUTS, "outputs": [{"name": "x"}]}, '"outputs" must be'),
    ({"inputs": INPUTS, "outputs": [{"name": "boxes"}] * 2}, "'boxes' twice"),
    (
        {"inputs": INPUTS, "outputs": [{"name": "boxes", "parameters": {"classification": 3}}]},
        "'classification'",
    ),
]


@pytest.mark.parametrize(("content", "reason"), WRONG)
def test_wrong_tensors(content, reason):
    with pytest.raises(ValueError, match=reason):
        _read(content)


@pytest.mark.parametrize(
    ("inputs", "binary", "reason"),
    [
        ([INPUTS[0], _binary("phrases", b"\1\0\0\0a", 2)], b"\1\0\0\0a", "shape"),
        ([INPUTS[0], _binary("phrases", b"\1\0\0\0a", 1)], b"\1\0\0\0abc", "belong to no input"),
        ([INPUTS[0], _binary("phrases", b"\1\0\0\0abc", 1)], b"\1\0\0\0a", "binary_data_size 7"),
        ([INPUTS[0], _binary("phrases", b"\7\0\0\0a", 1)], b"\7\0\0\0a", "says 7 bytes"),
        ([INPUTS[0], _binary("phrases", b"\xff\xff\xff\xff", 1)], b"\xff" * 4, "4294967295"),
        ([INPUTS[0], _binary("phrases", b"\1\0", 1)], b"\1\0", "ends within a length"),
        ([INPUTS[0], _binary("phrases", b"\1\0\0\0\xff", 1)], b"\1\0\0\0\xff", "not UTF-8"),
        ([INPUTS[0], _binary("phrases", b"\1\0\0\0a", 1, data=["a"])], b"\1\0\0\0a", "both"),
        (INPUTS, b"abc", "3 bytes behind the JSON"),
    ],
)
def test_wrong_binary_data(inputs, binary, reason):
    with pytest.raises(ValueError, match=reason):
        _read({"inputs": inputs}, binary)


@pytest.mark.parametrize("header", ["-1", "x", "9" * 30, "1e3", "99999", "٣", ""])
def test_a_wrong_length_of_the_json(header):
    with pytest.raises(ValueError, match="inference-header-content-length"):
        _read({"inputs": INPUTS}, header=header)
