"""What requests ask, as data; what is wrong with one is said in one line."""

from __future__ import annotations

import asyncio
import base64
import json

import pytest
from starlette.datastructures import QueryParams
from starlette.exceptions import HTTPException

from omnidet.serving import requests
from omnidet.serving.config import Limits

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


def test_the_same_question_in_every_form():
    plain = _read(
        {"image": TEXT, "phrases": ["red star", "Öl"], "threshold": 0.25, "max_detections": 5}
    )
    assert plain == requests.Question((IMAGE,), ("red star", "Öl"), 0.25, 5)
    assert _read({"image": f"data:image/png;base64,{TEXT}", "phrases": ["ring"]}).images == (IMAGE,)
    form = _form(
        FILE,
        ("phrases", b"red star", ""),
        ("phrases", "Öl".encode(), ""),
        ("threshold", b"0.25", ""),
        ("max_detections", b"5", ""),
    )
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
        (b"{", "not JSON"),
        (b"[" * 100_000, "not JSON"),
        (b"[]", "JSON object"),
        ({"phrases": ["a"]}, "image must be text"),
        ({"image": "?", "phrases": ["a"]}, "image is not base64"),
        ({"image": TEXT}, "phrases must be a list"),
        ({"image": TEXT, "phrases": "red star"}, "phrases must be a list"),
        ({"image": TEXT, "phrases": [1]}, "phrase 0 is 1"),
        ({"image": TEXT, "phrases": []}, "phrases must be a list"),
        ({"image": TEXT, "phrases": ["a", " "]}, "phrase 1 is empty"),
        ({"image": TEXT, "phrases": ["a" * 21]}, "phrase 0 has 21 characters.*20"),
        ({"image": TEXT, "phrases": ["a"] * 4}, "4 phrases.*3"),
        ({"image": TEXT, "phrases": ["\ud800"]}, "phrase 0 is not valid text"),
        ({"image": TEXT, "phrases": ["a"], "threshold": "high"}, "threshold 'high'"),
        (
            {"image": TEXT, "phrases": ["a"], "threshold": float("nan")},
            "threshold nan",
        ),
        (
            {"image": TEXT, "phrases": ["a"], "max_detections": 0},
            "max_detections 0.* 50",
        ),
        ({"image": TEXT, "phrases": ["a"], "max_detections": True}, "max_detections True"),
        (
            {"image": TEXT, "phrases": ["a"], "treshold": 0.5},
            "unknown treshold",
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
            "Too many files",
        ),
        (
            _form(FILE, *[("phrases", b"a", "")] * 9),
            "multipart/form-data; boundary=x",
            "Too many fields",
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
    with pytest.raises(HTTPException, match="application/json") as caught:
        _read(b"x", kind)
    assert caught.value.status_code == 415


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ({}, '"inputs" must be a list'),
        (
            {"inputs": [_tensor("image", [TEXT])]},
            '"inputs" holds image',
        ),
        ({"inputs": [_tensor("image", [TEXT])] * 2}, '"inputs" holds image'),
        (
            {"inputs": [_tensor("image", [TEXT], datatype="UINT8"), _tensor("phrases", ["a"])]},
            "'UINT8'",
        ),
        (
            {"inputs": [_tensor("image", [TEXT], shape=[2]), _tensor("phrases", ["a"])]},
            r"has shape \[2\] and 1 elements",
        ),
        (
            {"inputs": [_tensor("image", [TEXT], shape="1"), _tensor("phrases", ["a"])]},
            "no valid shape",
        ),
        (
            {"inputs": [_tensor("image", [TEXT], data=None), _tensor("phrases", ["a"])]},
            'has no list "data"',
        ),
        (
            {"inputs": [_tensor("image", [TEXT] * 3), _tensor("phrases", ["a"])]},
            "3 images.*2",
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
