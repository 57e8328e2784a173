"""Mirrored pixels, boxes and words."""

from __future__ import annotations

import numpy as np
import pytest

from omnidet.data.transforms.flip import flip
from tests.data.transforms.paintings import assert_framed, painted


class Fixed:
    """A generator whose `random` always gives the same number."""

    def __init__(self, value):
        self.value = value

    def random(self):
        return self.value


def test_flip_mirrors_pixels_and_boxes():
    example = painted(50, 30, (5, 3, 15, 20), (30, 10, 50, 30))
    flipped = flip(example, Fixed(0.5))
    assert flipped.record.boxes_xyxy.tolist() == [[35, 3, 45, 20], [0, 10, 20, 30]]
    assert (flipped.pixels == example.pixels[:, ::-1]).all()
    assert_framed(flipped, 0)
    assert example.record.boxes_xyxy.tolist() == [[5, 3, 15, 20], [30, 10, 50, 30]]


def test_half_of_the_images_stay_as_they_are():
    example = painted(50, 30, (5, 3, 15, 20))
    assert flip(example, Fixed(0.499)) is example
    random = np.random.default_rng(0)
    assert 400 < sum(flip(example, random) is example for _ in range(1000)) < 600


@pytest.mark.parametrize(
    ("words", "mirrored"),
    [
        ("star left of the circle", "star right of the circle"),
        ("the RIGHT one, Left of it", "the LEFT one, Right of it"),
        ("leftmost dog", "rightmost dog"),
        ("right-hand side, lefthand", "left-hand side, righthand"),
        ("from left to right", "from right to left"),
        ("bright leftovers, upright copyright", "bright leftovers, upright copyright"),
        ("a dog", "a dog"),
    ],
)
def test_left_and_right_are_swapped_everywhere(words, mirrored):
    given = {
        "phrases": (words, "dog"),
        "absent": (words,),
        "not_exhaustive": (words,),
        "caption": f"{words}.",
    }
    record = flip(painted(50, 30, (5, 3, 15, 20), (1, 1, 9, 9), **given), Fixed(0.9)).record
    assert record.phrases == (mirrored, "dog")
    assert record.absent == record.not_exhaustive == (mirrored,)
    assert record.caption == f"{mirrored}."
    assert record.phrase_boxes == ((0,), (1,))


def test_flipping_twice_changes_nothing():
    example = painted(50, 30, (5, 3, 15, 20), caption="left of right")
    twice = flip(flip(example, Fixed(0.9)), Fixed(0.9))
    assert (twice.pixels == example.pixels).all()
    assert twice.record.boxes_xyxy.tolist() == example.record.boxes_xyxy.tolist()
    assert twice.record.caption == "left of right"
