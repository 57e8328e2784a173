"""Crops: boxes stay whole or go, and only what was verified becomes absent."""

from __future__ import annotations

import numpy as np

from omnidet.data.transforms.crop import crop
from tests.data.transforms.paintings import COLOURS, assert_framed, painted


def test_a_crop_never_cuts_through_a_box():
    example = painted(100, 80, (2, 3, 20, 22), (70, 50, 96, 76), (40, 30, 52, 44), absent=("z",))
    sizes, lost = set(), set()
    for seed in range(300):
        cropped = crop(example, np.random.default_rng(seed))
        record = cropped.record
        assert cropped.pixels.shape == (record.height, record.width, 3)
        assert record.width >= 60
        assert record.height >= 48
        assert_framed(cropped, 0)
        for phrase, (x0, y0, x1, y1) in zip("abc", example.record.boxes_xyxy, strict=True):
            pixels = int((cropped.pixels == COLOURS["abc".index(phrase)]).all(2).sum())
            assert pixels == ((x1 - x0) * (y1 - y0) if phrase in record.phrases else 0)
        sizes.add((record.width, record.height))
        lost.update(set("abc") - set(record.phrases))
        assert set(record.absent) == {"z", *set("abc") - set(record.phrases)}
    assert len(sizes) > 20
    assert lost >= {"a", "b"}


def cropped_without_first(tries=200, **more):
    """The first crop that leaves the first box out and keeps the second."""
    example = painted(100, 80, (2, 3, 12, 13), (60, 50, 76, 66), **more)
    for seed in range(tries):
        record = crop(example, np.random.default_rng(seed)).record
        if len(record.boxes_xyxy) == 1 and record.boxes_xyxy[0, 2] - record.boxes_xyxy[0, 0] == 16:
            return record
    raise AssertionError("no such crop")


def test_a_lost_phrase_is_absent_only_if_the_label_space_is_verified():
    record = cropped_without_first(absent=("z",))
    assert (record.phrases, record.phrase_boxes) == (("b",), ((0,),))
    assert record.absent == ("z", "a")
    record = cropped_without_first()
    assert (record.phrases, record.absent) == (("b",), ()), "grounding data verifies nothing"
    record = cropped_without_first(absent=("z",), not_exhaustive=("a", "b"))
    # The image may show more of them.
    assert (record.phrases, record.absent, record.not_exhaustive) == (("b",), ("z",), ("b",))


def test_a_phrase_keeps_the_boxes_that_are_left():
    record = cropped_without_first(
        phrases=("both", "first"), phrase_boxes=((0, 1), (0,)), absent=("z",)
    )
    assert (record.phrases, record.phrase_boxes, record.absent) == (
        ("both",),
        ((0,),),
        ("z", "first"),
    )


def test_without_a_possible_window_the_image_stays_as_it_is():
    example = painted(100, 80, (0, 0, 100, 80))
    for seed in range(20):
        cropped = crop(example, np.random.default_rng(seed), min_share=0.5)
        assert cropped.record.boxes_xyxy.tolist() == [[0, 0, 100, 80]]
        assert cropped.pixels.shape == (80, 100, 3)
    assert crop(painted(1, 1), np.random.default_rng(0)).pixels.shape == (1, 1, 3)
