from __future__ import annotations

import io
import itertools

import numpy as np
import pytest
from PIL import Image, ImageColor

from omnidet.inference import drawing, lettering
from omnidet.inference.detector import Detections
from omnidet.inference.drawing import draw
from tests import toys


def _found(box: list[float], width: int, height: int) -> Detections:
    boxes, score = np.array([box], np.float32), np.array([0.5], np.float32)
    return Detections(boxes, score, np.array([0]), width, height)


def test_the_boxes_are_on_an_enlarged_thumbnail():
    drawn = draw(toys.png(60, 20, []), _found([10, 5, 30, 15], 60, 20), ["red star"])
    picture = np.asarray(drawn)
    assert picture.shape[:2] == (160, 480)
    assert picture[100, 80].tolist() != [128, 128, 128]  # the left edge, at 10 * 8
    assert picture[100, 160].tolist() == [128, 128, 128]


def test_the_picture_is_drawn_as_a_viewer_shows_it():
    exif, content = Image.Exif(), io.BytesIO()
    exif[0x0112] = 6
    Image.new("RGB", (600, 400), "white").save(content, "PNG", exif=exif)
    picture = np.asarray(draw(content.getvalue(), _found([50, 450, 150, 550], 400, 600), ["ring"]))
    assert picture.shape[:2] == (600, 400)
    assert picture[500, 50].tolist() != [255, 255, 255]
    assert picture[500, 100].tolist() == [255, 255, 255]


def _rectangles(boxes, names, size):
    labels = [drawing._label(n, i, 0.5, 12, size[0]) for i, n in enumerate(names)]
    places = drawing._places(np.array(boxes, np.float32), labels, size)
    return [
        (x, y, x + label.width, y + label.height)
        for label, (x, y) in zip(labels, places, strict=True)
    ]


def _overlap(one, other):
    wide, high = (min(one[i + 2], other[i + 2]) - max(one[i], other[i]) for i in (0, 1))
    return wide > 0 and high > 0


def test_labels_of_one_box_and_of_neighbours_are_kept_apart_and_in_the_picture():
    corners = np.random.default_rng(0).integers(0, 560, (20, 2))
    boxes = [[x, y, x + 40, y + 40] for x, y in corners.tolist()]
    boxes += [[200, 0, 300, 50]] * 3 + [[100, 300, 180, 380]] * 6 + [[590, 590, 600, 600]] * 3
    names = [f"thing {number}" for number in range(len(boxes))]
    found = _rectangles(boxes, names, (600, 600))
    assert not any(_overlap(one, other) for one, other in itertools.combinations(found, 2))
    assert all(x0 >= 0 and y0 >= 0 and x1 <= 600 and y1 <= 600 for x0, y0, x1, y1 in found)


def test_a_label_stands_above_its_box_if_there_is_room():
    ((x0, _, _, y1),) = _rectangles([[50, 80, 200, 150]], ["star"], (600, 600))
    assert (x0, y1) == (50, 80)
    ((_, y0, _, _),) = _rectangles([[50, 2, 200, 150]], ["star"], (600, 600))
    assert y0 == 2


@pytest.mark.parametrize("top", [80.0, 80.5, 81.5, 82.3])
def test_labels_of_one_box_are_stacked_without_a_gap(top):
    box = [50, top, 200, 150]
    first, second, third = _rectangles([box] * 3, ["a", "b", "c"], (600, 600))
    assert first[1] == second[3]
    assert second[1] == third[3]


def test_where_there_is_no_room_every_label_is_drawn_all_the_same():
    found = _rectangles([[0, 0, 30, 8]] * 400, ["ring"] * 400, (60, 10))
    assert len(found) == 400
    assert all(x0 >= 0 and y0 >= 0 for x0, y0, _, _ in found)


@pytest.mark.parametrize("name", ["a long label " * 20, "x" * 10_000, "two\nlines " * 50])
def test_a_long_label_is_shortened_and_keeps_its_score(name):
    label = drawing._label(name, 0, 0.25, 12, 300)
    assert label.width <= 300
    assert label.text.startswith(name.split()[0][:5])
    assert label.text.endswith("\u2026 0.25")
    assert "\n" not in label.text
    assert drawing._label("red star", 0, 0.25, 12, 300).text == "red star 0.25"


def test_both_labels_of_a_box_can_be_read():
    boxes = np.array([[100, 200, 220, 300]] * 2, np.float32)
    found = Detections(boxes, np.array([0.9, 0.5], np.float32), np.array([0, 1]), 600, 400)
    picture = np.asarray(draw(toys.png(600, 400, []), found, ["blue dog", "dog below heart"]))
    for place in (0, 1):
        colour = ImageColor.getrgb(f"hsl({place * 137 % 360}, 90%, 45%)")
        rows, _ = np.nonzero((picture[:195] == colour).all(-1))
        assert np.bincount(rows).max() > 20  # a bar of it, above the box


def test_a_phrase_whose_letters_no_font_has_is_drawn_by_its_number(monkeypatch):
    monkeypatch.setattr(lettering, "_of_system", tuple)
    lettering._font_for.cache_clear()
    assert drawing._label("звезда", 1, 0.5, 12, 300).text == "#2 0.50"
    line = drawing.numbered(["star", "звезда"])
    assert line is not None
    assert "'звезда' as '#2'" in line
    assert "'star'" not in line
    assert drawing.numbered(["star", "étoile"]) is None
    many = drawing.numbered([f"звезда {number}" for number in range(9)])
    assert many is not None
    assert "'#5' and 4 more" in many
    lettering._font_for.cache_clear()
