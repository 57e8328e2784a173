"""Crops that respect phrases: a phrase keeps all its boxes or goes, and relations are not cut."""

from __future__ import annotations

import numpy as np
import pytest

from omnidet.data.transforms.phrase_crop import PhraseCrop, needs_the_picture
from tests.data.transforms.paintings import assert_framed, painted


def crops(example, count=200):
    return [
        PhraseCrop(min_share=0.5)(example, np.random.default_rng(seed)) for seed in range(count)
    ]


def test_boxes_stay_whole_or_their_phrase_goes():
    example = painted(100, 80, (2, 3, 20, 22), (70, 50, 96, 76), (40, 30, 52, 44))
    seen = set()
    for cropped in crops(example):
        assert_framed(cropped, 0)
        assert cropped.pixels.shape[:2] == (cropped.record.height, cropped.record.width)
        assert len(cropped.record.boxes_xyxy) == len(cropped.record.phrases)
        assert cropped.record.absent == (), "a dropped phrase is unknown, not absent"
        seen.add(cropped.record.phrases)
    assert {("a", "b", "c"), ("a", "c"), ("b", "c")} <= seen
    assert () not in seen, "at least one phrase stays"


def test_a_phrase_with_one_box_outside_goes_with_its_own_boxes():
    boxes = [(2, 3, 20, 22), (70, 50, 96, 76), (40, 30, 52, 44)]
    example = painted(
        100,
        80,
        *boxes,
        phrases=("two things", "thing"),
        phrase_boxes=((0, 1), (2,)),
        not_exhaustive=("two things",),
    )
    both = alone = 0
    for cropped in crops(example):
        record = cropped.record
        if record.phrases == ("two things", "thing"):
            assert (record.phrase_boxes, record.not_exhaustive) == (((0, 1), (2,)), ("two things",))
            both += 1
        elif record.phrases == ("thing",):
            assert (record.phrase_boxes, len(record.boxes_xyxy), record.not_exhaustive) == (
                ((0,),),
                1,
                (),
            )
            alone += 1
        else:
            assert record.phrases == ("two things",)
    assert both > 5
    assert alone > 5


@pytest.mark.parametrize(
    "phrase",
    ["star left of circle", "the second dog", "leftmost star", "a man next to it", "biggest"],
)
def test_an_image_whose_phrase_needs_the_rest_of_it_is_not_cropped(phrase):
    example = painted(100, 80, (2, 3, 20, 22), (70, 50, 96, 76), phrases=(phrase, "b"))
    assert all(cropped is example for cropped in crops(example, 20))


@pytest.mark.parametrize(
    "phrase", ["red star", "a man in a blue shirt", "hot dog", "woman with an umbrella"]
)
def test_a_phrase_about_its_own_box_does_not_need_the_rest(phrase):
    assert not needs_the_picture(phrase)


def test_an_image_without_phrases_is_cropped():
    assert any(cropped.record.width < 100 for cropped in crops(painted(100, 80), 5))
