"""What is a picture: judged by the bytes, counted before it is decoded, and known again in another
size.
"""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from omnidet.data.reading.perceptual_hash import MAX_DISTANCE, perceptual_hash
from omnidet.data.web_images.checks import Picture, Taste, examine
from tests.data.web_images.pictures import picture


@pytest.mark.parametrize(("kind", "ending"), [("JPEG", "jpg"), ("PNG", "png"), ("WEBP", "webp")])
def test_kinds_and_sizes(kind, ending):
    found = examine(picture(0, side=70, kind=kind), Taste())
    assert isinstance(found, Picture)
    assert (found.kind, found.width, found.height) == (ending, 70, 70)


@pytest.mark.parametrize("mode", ["L", "CMYK", "RGB"])
def test_modes_of_jpeg(mode):
    out = io.BytesIO()
    Image.open(io.BytesIO(picture(0))).convert(mode).save(out, "JPEG", progressive=mode == "RGB")
    assert isinstance(examine(out.getvalue(), Taste()), Picture)


def test_every_cut_of_a_jpeg_is_refused():
    whole = picture(0, side=300)
    assert {examine(whole[:length], Taste()) for length in range(3, len(whole) - 40, 97)} <= {
        "truncated image",
        "unreadable image",
    }


def test_copies_of_photographs_are_near(samples):
    paths = sorted((samples.root / "coco_sample" / "images").rglob("*.jpg"))[:24]
    for path in paths:
        content = path.read_bytes()
        out = io.BytesIO()
        image = Image.open(io.BytesIO(content)).convert("RGB")
        image.resize((image.width // 2, image.height // 2)).save(out, "JPEG", quality=85)
        first, second = examine(content, Taste()), examine(out.getvalue(), Taste())
        assert (first.hash ^ second.hash).bit_count() <= MAX_DISTANCE + 1
        assert (first.hash ^ int(perceptual_hash(content))).bit_count() <= MAX_DISTANCE + 1


def test_bombs_are_counted_not_decoded():
    noise = Image.fromarray(np.zeros((9, 9), np.uint8))
    for kind in ("JPEG", "PNG", "WEBP"):
        out = io.BytesIO()
        noise.resize((2000, 2000)).save(out, kind)
        assert examine(out.getvalue(), Taste(max_pixels=3_999_999)) == "too many pixels"
