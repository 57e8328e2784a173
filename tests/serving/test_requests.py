"""What requests ask, as data; what is wrong with one is said in one line."""

from __future__ import annotations

import base64
import json

import pytest
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
    return requests.read(kind, content, query.encode(), LIMITS)


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
    settings = {"threshold": 0.25, "max_detections": 5, "no_overlaps": True}
    plain = _read({"image": TEXT, "phrases": ["red star", "Öl"], **settings})
    assert plain == requests.Question((IMAGE,), ("red star", "Öl"), 0.25, 5, no_overlaps=True)
    shortest = _read({"image": f"data:image/png;base64,{TEXT}", "phrases": ["ring"]})
    assert (shortest.images, shortest.threshold) == ((IMAGE,), None)
    assert not shortest.no_overlaps
    form = _form(
        FILE,
        ("phrases", b"red star", ""),
        ("phrases", "Öl".encode(), ""),
        ("threshold", b"0.25", ""),
        ("max_detections", b"5", ""),
        ("no_overlaps", b"true", ""),
    )
    assert _read(form, "multipart/form-data; boundary=x") == plain
    query = "phrases=red+star&phrases=%C3%96l&threshold=0.25&max_detections=5&no_overlaps=true"
    assert (
        _read(IMAGE, "image/png", query) == _read(IMAGE, "application/octet-stream", query) == plain
    )


def test_no_phrases_are_the_detectors_own_names():
    form = _read(_form(FILE), "multipart/form-data; boundary=x")
    assert form.phrases == ()
    assert form == _read({"image": TEXT}) == _read(IMAGE, "image/png", "")


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        (b"{", "not JSON"),
        (b"[" * 50_000, "nested too deeply"),
        (b"[" * 1_000_000, "bytes that are not text"),
        (b"[]", "JSON object"),
        ({"phrases": ["a"]}, "image must be text"),
        ({"image": "?", "phrases": ["a"]}, "image is not base64"),
        ({"image": "_-__", "phrases": ["a"]}, "URL-safe"),
        ({"image": TEXT, "phrases": ["a\ufffd"]}, "phrase 0 holds U"),
        ({"image": TEXT, "phrases": ["a"], "threshold": 10**400}, "threshold of more than 30"),
        ({"image": TEXT, "phrases": ["a"], "threshold": True}, "threshold True"),
        ({"image": TEXT, "phrases": ["a"], "max_detections": 10**400}, "max_detections of more"),
        (b'{"image": "", "phrases": ["a"], "threshold": 1e999}', "threshold inf"),
        (b'{"image": "", "image": ""}', "'image' twice"),
        (b'{"image": "\xff"}', "not UTF-8"),
        (json.dumps({"image": TEXT}).encode("utf-16"), "not UTF-8"),
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
            "NaN is not a number",
        ),
        (
            {"image": TEXT, "phrases": ["a"], "max_detections": 0},
            "max_detections 0.* 50",
        ),
        ({"image": TEXT, "phrases": ["a"], "max_detections": True}, "max_detections True"),
        ({"image": TEXT, "phrases": ["a"], "no_overlaps": "true"}, "no_overlaps 'true'"),
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
            "more than one file",
        ),
        (
            _form(FILE, *[("phrases", b"a", "")] * 9),
            "multipart/form-data; boundary=x",
            "more than 3 phrases|4 phrases|9 phrases",
        ),
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


def test_base64_with_line_breaks():
    wrapped = "\r\n".join(TEXT[i : i + 8] for i in range(0, len(TEXT), 8)) + "\n"
    assert _read({"image": wrapped, "phrases": ["ring"]}).images == (IMAGE,)


@pytest.mark.parametrize(
    ("query", "reason"),
    [
        ("phrases=a&threshold=0.1&threshold=0.9", "'threshold' is given twice"),
        ("phrases=a&max_detections=true", "max_detections 'true'"),
        ("phrases=a&no_overlaps=1", "no_overlaps '1'"),
        ("phrases=a&threshold=NaN", "threshold"),
        ("phrases=%ff", "not UTF-8"),
        ("phrases=a&&x", "cannot be read"),
        ("phrases=a&x=1", "unknown x"),
        ("phrases=a&" * 9 + "phrases=a", "Max number of fields|phrases"),
    ],
)
def test_wrong_queries(query, reason):
    with pytest.raises(ValueError, match=reason):
        _read(IMAGE, "image/png", query)


def test_a_query_beside_a_body_that_says_it_all():
    with pytest.raises(ValueError, match="put it into the body"):
        _read({"image": TEXT, "phrases": ["a"]}, query="threshold=0.9")
