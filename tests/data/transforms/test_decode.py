"""Decoded pixels are those of Pillow, whatever the file, and boxes follow a reduced scale."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from omnidet.data.transforms.crop import crop
from omnidet.data.transforms.decode import decode
from omnidet.data.transforms.flip import flip
from omnidet.data.transforms.letterbox import letterbox
from omnidet.schema import Record
from tests.data.transforms.paintings import assert_framed, encoded, painted, with_image


@pytest.mark.parametrize("size", [(64, 48), (64, 64), (48, 64), (300, 260), (700, 640)])
@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
def test_photos_are_decoded_to_the_pixels_of_pillow(size, mode):
    """Straight into their place if they fit, and mirrored or cropped there."""
    noise = np.random.default_rng(0).integers(
        0, 256, (size[1] // 4, size[0] // 4, len(Image.new(mode, (1, 1)).getbands()))
    )
    image = Image.fromarray(noise.astype(np.uint8).squeeze(), mode).resize(size)
    content = io.BytesIO()
    image.save(content, "JPEG", quality=90)
    whole = np.asarray(Image.open(io.BytesIO(content.getvalue())).convert("RGB"))
    record = Record(content.getvalue(), *size, "toy", "toy:1")
    assert (decode(record).pixels == whole).all()
    out = np.empty((64, 64, 3), np.uint8)
    for change in (lambda e, _: e, flip, crop, lambda e, r: crop(flip(e, r), r)):
        apart = letterbox(change(decode(record, 64), np.random.default_rng(1)), 64)
        here = letterbox(change(decode(record, 64, out), np.random.default_rng(1)), 64, out)
        assert here.pixels is out
        assert (here.pixels == apart.pixels).all()


def test_a_truncated_photo_raises_the_error_of_pillow():
    content = encoded(painted(64, 48), "JPEG")
    with pytest.raises(OSError, match=r"(?i)truncated"):
        decode(Record(content[: len(content) // 2], 64, 48, "toy", "toy:1"))


def test_pixels_are_rgb_whatever_the_file():
    for mode, kind in (("L", "PNG"), ("RGBA", "PNG"), ("P", "GIF"), ("CMYK", "JPEG"), ("1", "PNG")):
        out = io.BytesIO()
        Image.new(mode, (40, 30)).save(out, kind)
        example = decode(Record(out.getvalue(), 40, 30, "toy", "toy:1"), 16)
        assert example.pixels.shape[2] == 3
        assert example.pixels.dtype == np.uint8


def test_boxes_follow_a_reduced_scale():
    example = painted(800, 640, (80, 64, 400, 320), (480, 400, 800, 640))
    jpeg = with_image(example, encoded(example, "JPEG", quality=95, subsampling=0))
    small = decode(jpeg, 96)
    assert (
        (small.record.width, small.record.height)
        == (small.pixels.shape[1], small.pixels.shape[0])
        == (200, 160)
    )
    assert small.record.boxes_xyxy.tolist() == [[20, 16, 100, 80], [120, 100, 200, 160]]
    assert_framed(small, 1)
    whole = decode(jpeg)
    assert whole.pixels.shape == (640, 800, 3)
    assert whole.record.boxes_xyxy.tolist() == example.record.boxes_xyxy.tolist()
    png = decode(with_image(example, encoded(example, "PNG")), 96)
    assert (png.pixels == example.pixels).all()


def test_a_reduced_scale_never_falls_below_the_size_asked_for():
    """In a wide image the shorter side decides."""
    example = painted(900, 300, (90, 30, 300, 270))
    small = decode(with_image(example, encoded(example, "JPEG", quality=95)), 128)
    assert small.pixels.shape == (150, 450, 3)
    assert_framed(small, 1)
