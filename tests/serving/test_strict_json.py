"""JSON with one meaning, and no more of it than a request needs."""

from __future__ import annotations

import json
import time

import pytest

from omnidet.serving import strict_json


@pytest.mark.parametrize(
    "content",
    [
        {"a": 'quo"te \\ \\" \\\\', "b": [1, -2.5, True, None], "c": {"d": "\u2028ü"}},
        {"image": "A" * 5_000_000, "phrases": ["x"] * 400},
        {},
    ],
)
def test_what_is_read(content):
    assert strict_json.loads(json.dumps(content).encode(), 500) == content
    indented = json.dumps(content, indent=8, ensure_ascii=False).encode()
    assert strict_json.loads(indented, 500) == content


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b'{"a": 1, "a": 1}', "'a' twice"),
        (b'{"b": {"a": 1, "\\u0061": 2}}', "'a' twice"),
        (b'{"a": NaN}', "NaN"),
        (b'{"a": -Infinity}', "-Infinity"),
        (b'{"a": 1' + b"0" * 5000 + b"}", "5001 digits: no request"),
        (b'{"a": 1} x', "not JSON"),
        (b'{"a": 1,}', "not JSON"),
        (b"{'a': 1}", "not JSON"),
        (b'{"a": 01}', "not JSON"),
        (b'{"a": "\n"}', "not JSON"),
        (b"", "not JSON"),
        (b'"a"', "not a JSON object"),
        (b'\xef\xbb\xbf{"a": 1}', "BOM"),
        (b'{"a": "\xed\xa0\x80"}', "not UTF-8"),
        (b'{"a": ' + b"9" * 5000 + b"}", "limit|digits"),
        (b'{"a": ' + b"[" * 20_000 + b"]" * 20_000 + b"}", "nested too deeply"),
        (b'{"a": [' + b'"b",' * 600 + b'"b"]}', "texts"),
    ],
)
def test_what_is_refused(body, reason):
    with pytest.raises(ValueError, match=reason):
        strict_json.loads(body, 500)


@pytest.mark.parametrize(
    "part", [b"1,", b"[", b'"",', b"{}", b"[],", b" ", b"\\", b'\\"', b'"\\', b"\\\\", b'{"":']
)
def test_fifteen_megabytes_of_anything_are_refused_in_no_time(part):
    body = b'{"a":[' + part * (15_000_000 // len(part))
    started = time.process_time()
    with pytest.raises(ValueError, match="body"):
        strict_json.loads(body, 2000)
    assert time.process_time() - started < 1.5  # a parser takes many times as long
