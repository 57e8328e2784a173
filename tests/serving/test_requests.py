"""What requests ask and what they get, as data: every wrong one is told in one line what is wrong."""

from __future__ import annotations

import asyncio
import base64
import json

import numpy as np
import pytest
from starlette.datastructures import QueryParams
from starlette.exceptions import HTTPException

from omnidet.inference.detector import Detections
from omnidet.serving import requests
from omnidet.serving.requests import Limits

IMAGE = b"\x89PNG not looked at here"
TEXT = base64.b64encode(IMAGE).decode()
LIMITS = Limits(max_images=2, max_phrases=3, max_phrase_characters=20, max_detections=50)


def _read(
    body: bytes | dict[str, object], kind: str = "application/json", query: str = ""
) -> requests.Question:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return asyncio.run(requests.read(kind, content, QueryParams(query), LIMITS))


def _tensor(name: str, content: object, **other: object) -> dict[str, object]:
    return {"name": name, "datatype": "BYTES", "shape": [len(content)], "data": content, **other}  # type: ignore[arg-type]


def _form(*parts: tuple[str, bytes, str]) -> bytes:
    body = b""
    for name, content, more in parts:
        body += (
            f'--x\r\nContent-Disposition: form-data; name="{name}"{more}\r\n\r\n'.encode()
            + content
            + b"\r\n"
        )
    return body + b"--x--\r\n"


FILE = ("image", IMAGE, '; filename="a.png"')


def test_the_same_question_in_every_dress():
    plain = _read(
        {"image": TEXT, "phrases": ["red star", "Öl"], "threshold": 0.25, "max_detections": 5}
    )
    assert plain == requests.Question((IMAGE,), ("red star", "Öl"), 0.25, 5)
    assert _read({"image": f"data:image/png;base64,{TEXT}", "phrases": ["ring"]}).images == (IMAGE,)
    form = _form(FILE, ("phrases", b"red star", ""), ("phrases", "Öl".encode(), ""), ("threshold", b"0.25", ""),
                 ("max_detections", b"5", ""))  # fmt: skip
    assert _read(form, "multipart/form-data; boundary=x") == plain
    query = "phrases=red+star&phrases=%C3%96l&threshold=0.25&max_detections=5"
    assert (
        _read(IMAGE, "image/png", query) == _read(IMAGE, "application/octet-stream", query) == plain
    )
    inputs = [_tensor("image", [TEXT]), _tensor("phrases", [["red star", "Öl"]], shape=[1, 2])]
    parameters = {"threshold": 0.25, "max_detections": 5, "binary_data_output": False}
    assert requests.from_tensors({"inputs": inputs, "parameters": parameters}, LIMITS) == plain


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        (b"{", "the body is not JSON"),
        (b"[" * 100_000, "the body is not JSON"),
        (b"[]", "not a JSON object"),
        ({"phrases": ["a"]}, "image must be text"),
        ({"image": "?", "phrases": ["a"]}, "image is not base64"),
        ({"image": TEXT}, "phrases must be a list"),
        ({"image": TEXT, "phrases": "red star"}, "phrases must be a list"),
        ({"image": TEXT, "phrases": [1]}, "phrases must be a list"),
        ({"image": TEXT, "phrases": []}, "phrases must be a list"),
        ({"image": TEXT, "phrases": ["a", " "]}, "phrase 1 is empty"),
        ({"image": TEXT, "phrases": ["a" * 21]}, "phrase 0 has 21 characters: 20 are the most"),
        ({"image": TEXT, "phrases": ["a"] * 4}, "4 phrases: 3 are the most"),
        ({"image": TEXT, "phrases": ["\ud800"]}, "phrase 0 is no text"),
        ({"image": TEXT, "phrases": ["a"], "threshold": "high"}, "threshold 'high' is no number"),
        (
            {"image": TEXT, "phrases": ["a"], "threshold": float("nan")},
            "threshold nan is no number",
        ),
        (
            {"image": TEXT, "phrases": ["a"], "max_detections": 0},
            "max_detections 0: give a whole number from 1 to 50",
        ),
        ({"image": TEXT, "phrases": ["a"], "max_detections": True}, "max_detections True"),
        (
            {"image": TEXT, "phrases": ["a"], "treshold": 0.5},
            "unknown treshold: a request has image, phrases",
        ),
    ],
)
def test_wrong_json(wrong, reason):
    with pytest.raises(ValueError, match=reason):
        _read(wrong)


@pytest.mark.parametrize(
    ("body", "kind", "reason"),
    [
        (
            _form(("phrases", b"a", "")),
            "multipart/form-data; boundary=x",
            'the form has no file "image"',
        ),
        (
            _form(FILE, FILE, ("phrases", b"a", "")),
            "multipart/form-data; boundary=x",
            "cannot be read: Too many files",
        ),
        (
            _form(FILE, *[("phrases", b"a", "")] * 9),
            "multipart/form-data; boundary=x",
            "cannot be read: Too many fields",
        ),
        (_form(FILE), "multipart/form-data; boundary=x", "phrases must be a list"),
        (_form(FILE), "multipart/form-data", "the form cannot be read: "),
        (b"no form", "multipart/form-data; boundary=x", "the form"),
    ],
)
def test_wrong_forms(body, kind, reason):
    with pytest.raises(ValueError, match=reason):
        _read(body, kind)


@pytest.mark.parametrize("kind", ["text/plain", "", "application/xml"])
def test_another_kind_of_body(kind):
    with pytest.raises(HTTPException, match="is not read: send application/json") as caught:
        _read(b"x", kind)
    assert caught.value.status_code == 415


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ({}, '"inputs" must be a list'),
        (
            {"inputs": [_tensor("image", [TEXT])]},
            '"inputs" holds image: give "image" and "phrases"',
        ),
        ({"inputs": [_tensor("image", [TEXT])] * 2}, '"inputs" holds image'),
        (
            {"inputs": [_tensor("image", [TEXT], datatype="UINT8"), _tensor("phrases", ["a"])]},
            "has datatype 'UINT8'",
        ),
        (
            {"inputs": [_tensor("image", [TEXT], shape=[2]), _tensor("phrases", ["a"])]},
            r"has shape \[2\] and 1 elements",
        ),
        (
            {"inputs": [_tensor("image", [TEXT], shape="1"), _tensor("phrases", ["a"])]},
            "has no shape",
        ),
        (
            {"inputs": [_tensor("image", [TEXT], data=None), _tensor("phrases", ["a"])]},
            'has no list "data"',
        ),
        (
            {"inputs": [_tensor("image", [TEXT] * 3), _tensor("phrases", ["a"])]},
            "3 images: 1 to 2 fit",
        ),
        ({"inputs": [_tensor("image", []), _tensor("phrases", ["a"])]}, "0 images"),
        (
            {"inputs": [_tensor("image", [TEXT]), _tensor("phrases", ["a"])], "parameters": 1},
            '"parameters" must be',
        ),
        (
            {
                "inputs": [_tensor("image", [TEXT]), _tensor("phrases", ["a"])],
                "outputs": [{"name": "x"}],
            },
            '"outputs" must be',
        ),
    ],
)
def test_wrong_tensors(content, reason):
    with pytest.raises(ValueError, match=reason):
        requests.from_tensors(content, LIMITS)


def test_answers():
    found = Detections(
        np.array([[1, 2, 3.456, 4], [0, 0, 1, 1]], np.float32),
        np.array([0.5, 0.25]),
        np.array([1, 0]),
    )
    nothing = Detections(np.zeros((0, 4), np.float32), np.zeros(0), np.zeros(0, np.int64))
    question = requests.Question((b"", b""), ("red star", "ring"), 0.0, 10)
    answered = [(nothing, (7, 7)), (found, (9, 8))]
    whole = requests.to_tensors({"id": "abc"}, question, answered, "toy", "3")
    assert (whole["id"], whole["model_name"], whole["model_version"]) == ("abc", "toy", "3")
    outputs = {item["name"]: item for item in whole["outputs"]}
    assert outputs["images"] == {
        "name": "images",
        "datatype": "INT64",
        "shape": [2],
        "data": [1, 1],
    }
    assert outputs["boxes"]["shape"] == [2, 4]
    assert outputs["boxes"]["data"] == [1, 2, 3.46, 4, 0, 0, 1, 1]
    assert outputs["phrases"]["data"] == ["ring", "red star"]
    assert [item["name"] for item in requests.metadata("toy", "3")["outputs"]] == list(outputs)
    few = requests.to_tensors({"outputs": [{"name": "scores"}]}, question, answered, "toy", "3")
    assert few["outputs"] == [
        {"name": "scores", "datatype": "FP32", "shape": [2], "data": [0.5, 0.25]}
    ]
    plain = requests.to_plain(found, (9, 8), question.phrases)
    assert plain["detections"][0] == {"box": [1, 2, 3.46, 4], "score": 0.5, "phrase": "ring"}
    assert (plain["width"], plain["height"]) == (9, 8)
