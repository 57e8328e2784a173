"""Numbers, sizes and outlines as annotation files write them."""

from __future__ import annotations

from pathlib import Path

import pytest

from omnidet.data.folder_formats.sheets import (
    COMMAS,
    NOT_FOUR_NUMBERS,
    Sheet,
    no_box,
    number,
    outline_box,
    size_of,
    turned,
)
from tests.data.annotated import drawing
from tests.data.annotated.drawing import Folder, scenes


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


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        (["1", " 12,5 ", "3", "4"], COMMAS),
        (["1", "-0,5", None, "4"], COMMAS),
        (["1", "x,5", "3", "4"], NOT_FOUR_NUMBERS),
        ([None, None, 3, 4], NOT_FOUR_NUMBERS),
        ([], NOT_FOUR_NUMBERS),
    ],
)
def test_why_four_values_are_no_box(values, reason):
    assert no_box(values) == reason


@pytest.mark.parametrize("kind", ["voc", "cvat", "coco"])
def test_decimal_commas_are_named_in_every_format_of_texts(folder: Folder, kind):
    own = folder.pictures(scenes(4))
    if kind == "coco":
        content = drawing.coco(own)
        for annotation in content["annotations"]:
            annotation["bbox"] = [f"{value},5" for value in annotation["bbox"]]
        folder.write("a.json", content)
    elif kind == "cvat":
        folder.write("a.xml", drawing.cvat(own).replace('" ytl', ',5" ytl'))
    else:
        for scene in own:
            folder.write(f"{scene.stem}.xml", drawing.voc(scene).replace("</xmin>", ",5</xmin>"))
    assert COMMAS in folder.refusal()


def test_where_a_person_finds_it():
    assert Sheet(Path("a.json"), None, where="image 3").place == "a.json image 3"
    assert Sheet(Path("a.json"), None).place == "a.json"


def test_the_box_around_a_turned_one():
    assert turned((10, 20, 50, 40), 0) == (10, 20, 50, 40)
    assert turned((10, 20, 50, 40), 90) == pytest.approx((20, 10, 40, 50))
