"""The square: where the image is, where padding is, and which library scaled it."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from omnidet.data.transforms.example import Example
from omnidet.data.transforms.letterbox import PADDING, letterbox, resize
from omnidet.schema import Record
from tests.data.transforms.paintings import assert_framed, painted


@pytest.mark.parametrize(
    ("size", "picture"),
    [
        ((300, 100), (96, 32)),  # 3:1
        ((100, 300), (32, 96)),
        ((96, 96), (96, 96)),
        ((48, 24), (96, 48)),  # up
        ((1000, 2), (96, 1)),
    ],
)
def test_boxes_are_scaled_and_padding_is_on_the_right_and_below(size, picture):
    width, height = size
    box = (width // 5, height // 4, width // 2, 3 * height // 4)
    example = letterbox(painted(width, height, box), 96)
    assert (example.record.width, example.record.height) == picture
    assert example.pixels.shape == (96, 96, 3)
    inside = np.zeros((96, 96), bool)
    inside[: picture[1], : picture[0]] = True
    assert (example.pixels[~inside] == PADDING).all()
    scale = np.array([picture[0] / width, picture[1] / height] * 2)
    np.testing.assert_allclose(example.record.boxes_xyxy, [box * scale], rtol=1e-6)
    if height > 2:
        assert not (example.pixels[inside] == PADDING).all(1).any()
        assert_framed(example, 1)


def test_resizing_leaves_the_padding_out():
    example = painted(300, 100, (60, 25, 150, 75))
    now = resize(example, 96)
    assert now.pixels.shape == (32, 96, 3)
    assert_framed(now, 1)
    assert (now.pixels == letterbox(example, 96).pixels[:32]).all()


def test_a_frame_larger_than_the_image_makes_it_smaller():
    example = painted(60, 40, (10, 10, 50, 30))
    framed = letterbox(Example(example.pixels, example.record, frame=120.0), 96)
    assert (framed.record.width, framed.record.height) == (48, 32)
    assert (framed.pixels[:, 48:] == PADDING).all()
    assert_framed(framed, 1)


def test_small_images_are_scaled_by_pillow_to_the_bit():
    pixels = np.random.default_rng(0).integers(0, 256, (50, 80, 3), dtype=np.uint8)
    example = Example(pixels, Record(b"", 80, 50, "toy", "toy:1"))
    expected = Image.fromarray(pixels).resize((64, 40), Image.Resampling.BILINEAR)
    assert (letterbox(example, 64).pixels[:40] == np.asarray(expected)).all()


@pytest.mark.parametrize("size", [(400, 300), (64, 64), (50, 30)])
def test_a_mirrored_view_gives_mirrored_pixels(size):
    width, height = size
    pixels = np.random.default_rng(1).integers(0, 256, (height, width, 3), dtype=np.uint8)
    record = Record(b"", width, height, "toy", "toy:1")
    view = letterbox(Example(pixels[:, ::-1], record), 64)
    copied = letterbox(Example(pixels[:, ::-1].copy(), record), 64)
    difference = np.abs(view.pixels.astype(int) - copied.pixels.astype(int))
    assert difference.max() <= 1  # mirrored before scaling or after it: the last bit may differ
