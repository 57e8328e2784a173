"""The JSON of a sample: exact there and back, short, and sound or refused."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from omnidet.data.reading import record_json
from omnidet.schema import Record

RECORD = Record(
    b"x",
    40,
    30,
    "toy",
    "toy:1",
    np.array([[1, 0.1, 3.7, 9]], np.float32),
    phrases=("thing", "Ding ü"),
    phrase_boxes=((0,), (0,)),
    absent=("cow",),
    not_exhaustive=("Ding ü",),
    caption="红色 🙂",
)


def back(record: Record) -> Record:
    return record_json.decode(record_json.encode(record), record.image, "s.tar")


def test_there_and_back():
    found = back(RECORD)
    for field in dataclasses.fields(Record):
        a, b = getattr(found, field.name), getattr(RECORD, field.name)
        assert type(a) is type(b)
        assert np.array_equal(a, b) if field.name == "boxes_xyxy" else a == b


@settings(max_examples=300, deadline=None, derandomize=True)
@given(st.lists(st.floats(width=32, allow_nan=False, allow_infinity=False), min_size=4, max_size=4))
def test_float32_boxes_are_exact(numbers):
    boxes = np.array([numbers], np.float32)
    record = Record(b"x", 1, 1, "toy", "toy:1", boxes)
    assert back(record).boxes_xyxy.tobytes() == boxes.tobytes()


def test_boxes_are_written_short():
    record = dataclasses.replace(RECORD, boxes_xyxy=np.array([[0.1, 0.2, 33.3, 128]], np.float32))
    assert b"[[0.1,0.2,33.3,128.0]]" in record_json.encode(record)


@pytest.mark.parametrize(
    "change",
    [
        {"phrase_boxes": [[9], [0]]},
        {"phrase_boxes": [[-1], [0]]},
        {"phrase_boxes": []},
        {"phrases": [1, "b"]},
        {"width": "64"},
        {"caption": None},
        {"height": 0},
        {"boxes_xyxy": [[1, 2, 3]]},
        {"more": 1},
    ],
)
def test_what_encode_never_writes_is_refused(change):
    content = json.loads(record_json.encode(RECORD)) | change
    with pytest.raises(ValueError, match=r"s\.tar: ") as caught:
        record_json.decode(json.dumps(content).encode(), b"x", "s.tar")
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 400


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"3", b"null", b"\xff", b"[" * 100_000])
def test_what_is_not_an_annotation_is_refused(content):
    with pytest.raises(ValueError, match=r"s\.tar: "):
        record_json.decode(content, b"x", "s.tar")


def test_another_schema_version_is_refused_with_the_sample_s_name():
    content = json.loads(record_json.encode(RECORD)) | {"schema_version": 2}
    with pytest.raises(ValueError, match=r"s\.tar: sample toy:1 .* 1:"):
        record_json.decode(json.dumps(content).encode(), b"x", "s.tar")
