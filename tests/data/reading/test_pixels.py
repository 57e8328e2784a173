"""Pictures as people see them: upright, and 8 bits deep whatever they were stored in."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from omnidet.data.reading.pixels import eight_bits, orientation


@pytest.mark.parametrize(
    ("values", "kind", "expected"),
    [
        ([0, 32768, 65535], np.uint16, [0, 128, 255]),
        ([0, 2048, 4095], np.uint16, [0, 128, 255]),
        ([0, 100, 255], np.uint16, [0, 100, 255]),
        ([0.0, 0.5, 1.0], np.float32, [0, 128, 255]),
        ([0.0, 100.0, 255.0], np.float32, [0, 100, 255]),
        ([-1.0, 0.0, 1.0], np.float32, [0, 128, 255]),
        ([0.0, np.nan, 1.0], np.float32, [0, 0, 255]),
    ],
)
def test_deep_pictures_are_scaled_and_not_cut_off(values, kind, expected):
    image = Image.fromarray(np.array([values], kind))
    found = eight_bits(image)
    assert found.mode == "L"
    assert np.asarray(found)[0] == pytest.approx(expected, abs=1)


@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA", "P", "1", "CMYK"])
def test_others_are_left_alone(mode):
    image = Image.new(mode, (4, 3))
    assert eight_bits(image) is image


def _tagged(tag: object) -> Image.Image:
    exif = Image.Exif()
    exif[0x0112] = tag
    out = io.BytesIO()
    Image.new("RGB", (4, 3)).save(out, "JPEG", exif=exif)
    return Image.open(out)


@pytest.mark.parametrize(("tag", "found"), [(6, 6), (1, 1), (0, 1), (9, 1)])
def test_orientation(tag, found):
    assert orientation(_tagged(tag)) == found


def test_a_picture_without_a_tag_is_upright():
    assert orientation(Image.new("RGB", (4, 3))) == 1
