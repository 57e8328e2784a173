"""What all transforms share: boxes that are kept or scaled, and a chain of all of them."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from omnidet.data.transforms.crop import crop
from omnidet.data.transforms.decode import decode
from omnidet.data.transforms.example import keep_boxes, resized
from omnidet.data.transforms.flip import flip
from omnidet.data.transforms.letterbox import letterbox
from omnidet.schema import Record
from tests.data.transforms.paintings import assert_framed, encoded, painted, with_image


def _record(**more) -> Record:
    """Three boxes: both phrases name the first, and each one more."""
    boxes = np.array([[0, 0, 10, 10], [20, 0, 30, 10], [40, 0, 50, 10]], np.float32)
    fields = {"phrases": ("dog", "cat"), "phrase_boxes": ((0, 1), (0, 2)), **more}
    return Record(b"", 100, 50, "toy", "toy:1", boxes, **fields)


def test_phrases_name_the_remaining_boxes_by_their_new_numbers():
    kept = keep_boxes(_record(), np.array([False, True, True]))
    assert kept.boxes_xyxy[:, 0].tolist() == [20, 40]
    assert (kept.phrases, kept.phrase_boxes) == (("dog", "cat"), ((0,), (1,)))


@pytest.mark.parametrize(
    ("known", "absent"),
    [
        ({"absent": ("cow",)}, ("cow", "cat")),
        ({}, ()),
        ({"absent": ("cow",), "not_exhaustive": ("cat",)}, ("cow",)),
    ],
    ids=["verified", "not verified", "not exhaustive"],
)
def test_a_phrase_without_boxes_is_absent_only_if_that_is_known(known, absent):
    record = _record(phrase_boxes=((0, 1), (2,)), **known)
    kept = keep_boxes(record, np.array([True, True, False]))
    assert (kept.phrases, kept.absent, kept.not_exhaustive) == (("dog",), absent, ())


def test_a_record_that_keeps_all_boxes_stays_as_it_is():
    record = _record()
    assert keep_boxes(record, np.ones(3, bool)) is record
    assert resized(record, 100, 50) is record


def test_boxes_are_scaled_by_the_factor_of_each_side():
    smaller = resized(_record(), 50, 40)
    assert (smaller.width, smaller.height) == (50, 40)
    assert smaller.boxes_xyxy[1].tolist() == pytest.approx([10, 0, 15, 8])


@pytest.mark.parametrize("size", [(300, 100), (500, 333), (90, 200)])
def test_the_whole_chain_keeps_boxes_on_their_objects(size):
    width, height = size
    boxes = [
        (width // 10, height // 10, width // 3, height // 2),
        (width // 2, height // 2, 9 * width // 10, 9 * height // 10),
    ]
    example = painted(width, height, *boxes)
    record = with_image(example, encoded(example, "JPEG", quality=95, subsampling=0))
    for seed, chain in itertools.product(range(5), [(flip, crop), (crop, flip)]):
        random = np.random.default_rng(seed)
        now = decode(record, 64)
        for transform in chain:
            now = transform(now, random)
        assert_framed(letterbox(now, 64), 1.5)
