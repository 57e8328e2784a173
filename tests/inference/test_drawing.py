from __future__ import annotations

import io

import numpy as np
from PIL import Image

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
