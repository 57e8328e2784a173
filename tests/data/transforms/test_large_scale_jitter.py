"""Large-scale jitter: boxes follow, and names of removed boxes are marked."""

from __future__ import annotations

import numpy as np
import pytest

from omnidet.data.transforms.crop import crop
from omnidet.data.transforms.flip import flip
from omnidet.data.transforms.large_scale_jitter import LargeScaleJitter, cut
from omnidet.data.transforms.letterbox import letterbox
from omnidet.schema import Record
from tests.data.transforms.paintings import assert_framed, painted


def test_zooming_out_keeps_everything_and_adds_padding():
    example = painted(100, 80, (10, 8, 60, 40), (70, 50, 96, 76))
    sizes = []
    for seed in range(30):
        now = letterbox(LargeScaleJitter(0.2, 1.0)(example, np.random.default_rng(seed)), 200)
        assert_framed(now, 1.5)
        assert now.record.phrases == ("a", "b")
        assert (now.pixels[now.record.height :] == 128).all()
        assert (now.pixels[:, now.record.width :] == 128).all()
        sizes.append(now.record.width)
    assert 40 <= min(sizes) < 80
    assert 160 < max(sizes) <= 200


def test_zooming_in_keeps_boxes_on_what_is_still_seen():
    example = painted(100, 80, (60, 45, 90, 75))
    kept = 0
    for seed in range(60):
        now = letterbox(LargeScaleJitter(1.0, 2.0)(example, np.random.default_rng(seed)), 200)
        assert max(now.record.width, now.record.height) <= 200
        assert_framed(now, 2.5)
        kept += len(now.record.phrases)
    assert 30 < kept < 60


@pytest.mark.parametrize("order", [(0, 1, 2), (1, 0, 2), (2, 1, 0)])
def test_it_works_with_the_other_transforms_in_any_order(order):
    example = painted(300, 200, (30, 20, 90, 60), (200, 120, 260, 190))
    chain = [LargeScaleJitter(0.3, 1.6), flip, crop]
    for seed in range(25):
        random, now = np.random.default_rng(seed), example
        for i in order:
            now = chain[i](now, random)
        assert_framed(letterbox(now, 256), 2.5)


def record(**more):
    boxes = np.array([[0, 0, 10, 10], [40, 0, 60, 10], [90, 0, 100, 10]], np.float32)
    fields = {
        "phrases": ("star", "dog", "moon"),
        "phrase_boxes": ((0, 1), (1,), (2,)),
        "absent": ("cow",),
    }
    return Record(b"", 100, 50, "toy", "toy:1", boxes, **(fields | more))


def test_a_box_that_is_mostly_inside_is_cut_to_the_window():
    window = cut(record(), 0, 0, 55, 50, 0.6)
    assert window.boxes_xyxy.tolist() == [[0, 0, 10, 10], [40, 0, 55, 10]]
    assert (window.phrases, window.phrase_boxes) == (("star", "dog"), ((0, 1), (1,)))
    # The moon is completely outside: verified absent.
    assert (window.absent, window.not_exhaustive) == (("cow", "moon"), ())


def test_names_of_a_box_that_is_mostly_outside_give_no_negatives():
    window = cut(record(), 0, 0, 45, 50, 0.6)
    assert window.boxes_xyxy.tolist() == [[0, 0, 10, 10]]
    assert (window.phrases, window.phrase_boxes) == (("star",), ((0,),))
    assert window.not_exhaustive == ("star",), "a quarter of the other star is seen without a box"
    assert window.absent == ("cow", "moon"), "a quarter of the dog is seen, so it is not absent"


def test_a_window_claims_nothing_about_an_unverified_label_space():
    window = cut(record(absent=()), 0, 0, 20, 50, 0.6)
    assert (window.phrases, window.absent, window.not_exhaustive) == (("star",), (), ())


@pytest.mark.parametrize("given", [(0, 1), (2, 1), (-1, 1)])
def test_wrong_scales_are_refused(given):
    with pytest.raises(ValueError, match="give 0 < smallest <= largest"):
        LargeScaleJitter(*given)
