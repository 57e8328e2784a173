"""Composed expressions: only what is true, only where it is clear."""

from __future__ import annotations

import numpy as np
import pytest

from omnidet.data.transforms.relations import Relations
from omnidet.schema import Record
from tests.data.transforms.paintings import painted


def _boxes(*centres: tuple[int, int]) -> list[tuple[int, int, int, int]]:
    return [(x - 4, y - 4, x + 4, y + 4) for x, y in centres]


def _added(
    relations: Relations, *centres: tuple[int, int], seed: int = 0, **record
) -> tuple[dict[str, tuple[int, ...]], tuple[str, ...]]:
    """The phrases that were added with their boxes, and those of the absent ones."""
    example = painted(100, 80, *_boxes(*centres), **record)
    after: Record = relations(example, np.random.default_rng(seed)).record
    before = example.record
    assert after.phrases[: len(before.phrases)] == before.phrases
    assert after.absent[: len(before.absent)] == before.absent
    assert (after.boxes_xyxy == before.boxes_xyxy).all()
    named = dict(zip(after.phrases, after.phrase_boxes, strict=True))
    new = {p: named[p] for p in after.phrases[len(before.phrases) :]}
    return new, after.absent[len(before.absent) :]


ALL = Relations(phrases=100, absent=100, tries=1000)


def test_two_stars_beside_a_circle_are_told_apart():
    new, absent = _added(
        ALL,
        (10, 40),
        (90, 40),
        (50, 42),
        phrases=("star", "circle"),
        phrase_boxes=((0, 1), (2,)),
    )
    assert new == {"star left of circle": (0,), "star right of circle": (1,)}
    # The stars are hardly above the circle, so nothing is said of that, but they are not below it.
    assert absent == ("star below circle",)


def test_a_thing_on_the_other_side_gives_a_phrase_that_names_nothing():
    new, absent = _added(
        ALL, (10, 40), (90, 40), phrases=("star", "dog"), phrase_boxes=((0,), (1,))
    )
    assert new == {"star left of dog": (0,), "dog right of star": (1,)}
    assert {"star right of dog", "dog left of star"} <= set(absent)
    assert not {"star left of dog", "dog right of star"} & set(absent)


def test_the_landmark_may_have_the_name_of_the_head():
    new, _ = _added(
        ALL,
        (10, 40),
        (50, 40),
        (90, 40),
        phrases=("star", "red star"),
        phrase_boxes=((0, 1, 2), (1,)),
    )
    assert new == {"star left of red star": (0,), "star right of red star": (2,)}


@pytest.mark.parametrize(
    ("centres", "why"),
    [
        (((10, 40), (45, 40), (52, 40)), "one star is hardly left of the circle"),
        (((10, 40), (30, 5), (52, 40)), "one star is further above the circle than left of it"),
    ],
    ids=["near", "diagonal"],
)
def test_nothing_is_said_where_one_box_is_unclear(centres, why):
    new, absent = _added(ALL, *centres, phrases=("star", "circle"), phrase_boxes=((0, 1), (2,)))
    assert "star left of circle" not in new, why
    assert "star left of circle" not in absent, why


def test_what_may_name_more_than_its_boxes_is_left_out():
    known = {"phrases": ("star", "circle", "dog"), "phrase_boxes": ((0,), (1,), (2,))}
    centres = (10, 40), (50, 40), (90, 40)
    new, absent = _added(ALL, *centres, **known, not_exhaustive=("circle",))
    assert "star left of dog" in new
    assert not any("circle" in phrase for phrase in (*new, *absent))


def test_neither_a_name_of_several_boxes_nor_a_relation_is_a_landmark():
    new, absent = _added(
        ALL,
        (10, 40),
        (20, 40),
        (90, 40),
        phrases=("star", "dog", "dog right of star"),
        phrase_boxes=((0, 1), (2,), (2,)),
    )
    assert set(new) == {"star left of dog"}
    assert all(phrase.endswith(" dog") for phrase in absent)


def test_those_that_need_the_relation_come_first_and_no_more_than_asked():
    record = {
        "phrases": ("star", "circle", "dog"),
        "phrase_boxes": ((0, 1), (2,), (3,)),
    }
    for seed in range(20):
        new, absent = _added(
            Relations(phrases=2, absent=1),
            (10, 40),
            (90, 40),
            (50, 40),
            (50, 10),
            seed=seed,
            **record,
        )
        assert all(phrase.startswith("star ") for phrase in new)
        assert len(new) == 2
        assert len(absent) == 1


def test_an_image_with_one_thing_stays_as_it_is():
    assert _added(ALL, (10, 40), phrases=("star",), phrase_boxes=((0,),)) == ({}, ())
    assert _added(ALL) == ({}, ())


@pytest.mark.parametrize(
    "wrong", [{"phrases": -1}, {"absent": -1}, {"clear": 0.0}, {"clear": 1.0}, {"tries": 0}]
)
def test_impossible_settings_are_refused_with_their_value(wrong):
    [(name, value)] = wrong.items()
    with pytest.raises(ValueError, match=f"{name}={value}"):
        Relations(**wrong)
