"""RefCOCOS: expressions that name a box, and those that name nothing."""

from __future__ import annotations

import pytest

from omnidet.data.reading.quarantine import Quarantine
from omnidet.data.sources import refcocos
from tests.data.sources.handmade import expression, jpeg, write


def read(root, split="test"):
    quarantine = Quarantine()
    return list(refcocos.read(str(root), split, quarantine)), quarantine


def test_expressions_boxes_and_empty_cases(tmp_path):
    found = [
        expression(3, "the cup", [1, 2, 11, 22]),
        expression(3, "cat", None),
        expression(3, "a red cup", [1, 2, 11, 22]),
    ]
    found += [
        expression(3, " ", None),
        expression(3, "dog", [1, 2]),
        expression(3, "the cup", None),
    ]
    found += [{**expression(3, "bird", [1, 2, 3, 4]), "categories": {"empty_case": True}}]
    write(tmp_path / "annotations/refcocos.json", found)
    write(tmp_path / "images/val2017/000000000003.jpg", jpeg(3))
    (record,), quarantine = read(tmp_path)
    assert (record.phrases, record.phrase_boxes) == (("the cup", "a red cup"), ((0,), (0,)))
    assert record.boxes_xyxy.tolist() == [[1, 2, 11, 22]]  # corners, not width and height
    assert record.absent == ("cat",)
    assert dict(quarantine.counts) == {
        "refcocos: phrase: empty phrase": 1,
        "refcocos: box: malformed box": 1,
        "refcocos: phrase: a box for an expression that names nothing": 1,
    }


def test_what_is_not_in_the_format_is_named(tmp_path):
    with pytest.raises(ValueError, match=r"'val'.*'test'"):
        read(tmp_path, "val")
    write(tmp_path / "annotations/refcocos.json", {})
    with pytest.raises(ValueError, match=r"refcocos\.json"):
        read(tmp_path)
    write(tmp_path / "annotations/refcocos.json", [{"image_id": 1}])
    with pytest.raises(ValueError, match=r"expression\[0\] .*'image'.* str"):
        read(tmp_path)


def test_the_sample(samples):
    records, quarantine = read(samples.root / "coco_sample")
    assert not quarantine.lines
    counts = (
        len(records),
        sum(len(r.phrases) for r in records),
        sum(len(r.boxes_xyxy) for r in records),  # one box has two expressions
        sum(len(r.absent) for r in records),
    )
    assert counts == ((54, 54, 53, 6) if samples.is_real else (3, 4, 3, 1))
