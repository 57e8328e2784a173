"""Forms and queries."""

from __future__ import annotations

import pytest

from omnidet.serving import fields
from omnidet.serving.config import Limits

LIMITS = Limits(max_phrases=3)
KIND = b'multipart/form-data; boundary="x y"'
IMAGE = bytes(range(256)) * 400


def _form(*parts: tuple[str, bytes], end: bytes = b"--x y--\r\n") -> bytes:
    body = b""
    for header, content in parts:
        body += f"--x y\r\nContent-Disposition: form-data; {header}\r\n\r\n".encode()
        body += content + b"\r\n"
    return body + end


FILE = ('name="image"; filename="../../a.png"', IMAGE)


def test_a_form():
    image, given = fields.of_form(
        KIND,
        _form(FILE, ('name="phrases"', "Öl".encode()), ('name="threshold"', b"0.5")),
        LIMITS,
    )
    assert (image, given) == (IMAGE, {"phrases": ["Öl"], "threshold": 0.5})


def test_numbers():
    pairs = [("a", "1"), ("b", "true"), ("c", "NaN"), ("d", "[1]"), ("e", ".5"), ("f", "")]
    assert fields.of_pairs(pairs) == {
        "a": 1,
        "b": "true",
        "c": "NaN",
        "d": "[1]",
        "e": 0.5,
        "f": "",
    }


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (_form(FILE, end=b""), "its end is missing"),
        (_form(FILE)[:-40_000], "its end is missing"),
        (_form(FILE, FILE), "more than one file"),
        (_form(('name="picture"; filename="a"', IMAGE)), "'picture'"),
        (_form(('name="image"', b"abc")), 'no file "image"'),
        (_form(('name="image"', b"\x89PNG\xff")), 'no file "image"'),
        (_form(FILE, ('name="threshold"', b"1"), ('name="threshold"', b"0")), "given twice"),
        (_form(FILE, ('name="phrases"', b"\xff\xfe")), "not UTF-8"),
        (_form(FILE, *[('name="phrases"', b"a")] * 9), "more than 3 phrases"),
        (_form(FILE, ("filename=a", b"a")), "cannot be read"),
        (b"nonsense", "cannot be read"),
        (b"", "its end is missing"),
    ],
)
def test_wrong_forms(body, reason):
    with pytest.raises(ValueError, match=reason):
        fields.of_form(KIND, body, LIMITS)


def test_a_form_that_is_slow_to_parse_is_given_up(monkeypatch):
    monkeypatch.setattr(fields, "_PARSING_SECONDS", 0.0)
    with pytest.raises(ValueError, match="it takes more than"):
        fields.of_form(KIND, _form(FILE), LIMITS)


def test_a_form_without_a_boundary():
    with pytest.raises(ValueError, match="no boundary"):
        fields.of_form(b"multipart/form-data", b"", LIMITS)


def test_a_query():
    assert fields.of_query(b"", LIMITS) == {}
    query = b"phrases=red+star&phrases=%C3%96l&threshold=1"
    assert fields.of_query(query, LIMITS) == {"phrases": ["red star", "Öl"], "threshold": 1}
    for wrong in (b"a=%ff", b"a", b"a=1&a=2", b"a=1&" * 9 + b"b=1", b"a=\xff"):
        with pytest.raises(ValueError, match=r"query|twice"):
            fields.of_query(wrong, LIMITS)
