"""Numbers, sizes and outlines as annotation files write them."""

from __future__ import annotations

from pathlib import Path

import pytest

from omnidet.data.folder_formats.sheets import Sheet, number, outline_box, size_of


@pytest.mark.parametrize(
    ("value", "found"),
    [
        *((1, 1.0), ("1.5", 1.5), (" 2 ", 2.0), (-3.5, -3.5)),
        *((v, None) for v in (True, None, "x", "nan", "inf", float("nan"), 10**400, [1], "1e13")),
    ],
)
def test_a_number_or_none(value, found):
    assert number(value) == found


@pytest.mark.parametrize(
    ("width", "height", "size"),
    [(640, "480", (640, 480)), (640.4, 480, (640, 480)), (0, 480, None), (None, 480, None)],
)
def test_a_declared_size(width, height, size):
    assert size_of(width, height) == size


def test_the_box_of_an_outline():
    assert outline_box([(3, 9), (1, 4), (7, 5)]) == (1, 4, 7, 9)
    assert outline_box([(3, 9), (1, 4)]) is None


def test_where_a_person_finds_it():
    assert Sheet(Path("a.json"), None, where="image 3").place == "a.json image 3"
    assert Sheet(Path("a.json"), None).place == "a.json"
