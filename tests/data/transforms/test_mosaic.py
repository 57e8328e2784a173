"""Mosaics: boxes follow their tiles, and what is unknown does not become absent."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from omnidet.data.transforms.mosaic import Mosaic, joined
from omnidet.schema import Record
from tests.data.transforms.paintings import COLOURS, found, painted


def tile(phrases=(), absent=(), not_exhaustive=()):
    boxes = np.array([[10 * i, 0, 10 * i + 5, 5] for i in range(len(phrases))], np.float32).reshape(
        -1, 4
    )
    named = tuple((i,) for i in range(len(phrases)))
    return Record(
        b"",
        50,
        50,
        "toy",
        "toy:1",
        boxes,
        tuple(phrases),
        named,
        tuple(absent),
        tuple(not_exhaustive),
    )


@pytest.mark.parametrize(("count", "side"), [(4, 128), (9, 128), (4, 101), (9, 100)])
def test_boxes_are_on_their_objects_in_every_tile(count, side):
    for place in range(count):
        parts = [painted(60, 40) for _ in range(count)]
        parts[place] = painted(60, 40, (12, 8, 48, 32))
        made = Mosaic()(parts, side)
        assert made.pixels.shape == (side, side, 3)
        assert (made.record.width, made.record.height) == (side, side)
        assert made.record.phrases == ("a",)
        np.testing.assert_allclose(made.record.boxes_xyxy[0], found(made, 0), atol=1.5)
    assert len(COLOURS) == 3


def test_phrases_of_all_tiles_keep_their_boxes():
    record = joined([tile(("star", "dog")), tile(("dog",)), tile(), tile(("moon",))], 100)
    assert record.phrases == ("star", "dog", "moon")
    assert record.phrase_boxes == ((0,), (1, 2), (3,))
    assert len(record.boxes_xyxy) == 4


def test_coco_stays_exhaustive():
    """Every tile knows the same names, and so does the mosaic."""
    names = ("star", "dog", "moon", "cow")
    tiles = [tile((name,), [other for other in names if other != name]) for name in names[:3]]
    record = joined([*tiles, tile((), names)], 100)
    assert (set(record.phrases), record.absent, record.not_exhaustive) == (
        {"star", "dog", "moon"},
        ("cow",),
        (),
    )


def test_a_name_that_one_tile_does_not_know_is_not_absent():
    record = joined(
        [
            tile(absent=("cow", "dog")),
            tile(absent=("cow",)),
            tile(("star",), ("cow",)),
            tile(absent=("cow",)),
        ],
        100,
    )
    assert record.absent == ("cow",), "three tiles say nothing about a dog"
    # The other tiles may show a star too.
    assert (record.phrases, record.not_exhaustive) == (("star",), ("star",))


def test_absent_in_one_tile_and_present_in_another_is_present():
    known = [tile(("star",), ()), tile((), ("star",)), tile((), ("star",)), tile((), ("star",))]
    record = joined(known, 100)
    assert (record.phrases, record.absent, record.not_exhaustive) == (("star",), (), ())


def test_a_name_that_is_not_exhaustive_in_one_tile_is_not_in_the_mosaic():
    known = [
        tile(("star",), (), ("star",)),
        tile(("star",)),
        tile((), ("star",)),
        tile((), ("star",)),
    ]
    assert joined(known, 100).not_exhaustive == ("star",)


def test_grids_are_drawn_with_their_shares():
    random = np.random.default_rng(0)
    drawn = Counter(Mosaic((0.5, 0.25, 0.25)).count(random) for _ in range(2000))
    assert set(drawn) == {1, 4, 9}
    assert 900 < drawn[1] < 1100
    assert 420 < drawn[4] < 580
    with pytest.raises(ValueError, match="give shares that sum to 1"):
        Mosaic((0.5, 0.1))
