"""A JPEG is called complete without decoding it, but never one that would stop a decoder."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from omnidet.data.reading import jpeg_markers

NUM_MUTATIONS = 400


def picture(**options) -> bytes:
    """A picture of 97 x 61 pixels that resembles a photograph."""
    noise = np.random.default_rng(0).normal(0, 12, (61, 97, 3)) + np.linspace(0, 200, 97)[:, None]
    out = io.BytesIO()
    Image.fromarray(noise.clip(0, 255).astype(np.uint8)).convert(options.pop("mode", "RGB")).save(
        out, "JPEG", **options
    )
    return out.getvalue()


PICTURES = {
    "baseline": picture(),
    "grey": picture(mode="L"),
    "progressive": picture(progressive=True),
    "optimised": picture(optimize=True, subsampling=0, quality=30),
    "with restarts": picture(restart_marker_blocks=2),
    "with a comment": picture(comment=b"\xff\xd9" * 20),
}


def decodes(content: bytes) -> bool:
    try:
        with Image.open(io.BytesIO(content)) as image:
            image.load()
    except (OSError, SyntaxError, ValueError):
        return False
    return True


@pytest.mark.parametrize("name", PICTURES)
def test_complete_pictures(name):
    assert jpeg_markers.size_if_whole(PICTURES[name]) == (97, 61)
    assert jpeg_markers.size_if_whole(PICTURES[name] + b"more after it \xff") == (97, 61)


@pytest.mark.parametrize("name", PICTURES)
def test_every_truncation_is_found(name):
    for end in range(0, len(PICTURES[name]) - 1, 3):
        assert jpeg_markers.size_if_whole(PICTURES[name][:end]) is None, end


@pytest.mark.parametrize("name", PICTURES)
def test_what_is_called_complete_decodes(name):
    """Random changes in the head, where everything is that can stop a decoder, and in the rest."""
    random, original = np.random.default_rng(1), PICTURES[name]
    num_complete = 0
    for i in range(NUM_MUTATIONS):
        content = bytearray(original)
        for _ in range(random.integers(1, 4)):
            content[random.integers(2, min(700, len(content)) if i % 2 else len(content))] = (
                random.integers(256)
            )
        size = jpeg_markers.size_if_whole(bytes(content))
        if size is not None and size[0] * size[1] < 1e6:
            num_complete += 1
            assert decodes(bytes(content))
    assert num_complete > NUM_MUTATIONS / 10


def test_other_colours_and_kinds_are_left_to_a_decoder():
    assert jpeg_markers.size_if_whole(picture(mode="CMYK")) is None
    out = io.BytesIO()
    Image.new("RGB", (4, 3)).save(out, "PNG")
    assert jpeg_markers.size_if_whole(out.getvalue()) is None
    assert jpeg_markers.size_if_whole(b"") is None


def test_the_photographs_of_the_sample(samples):
    paths = sorted((samples.root / "coco_sample/images").rglob("*.jpg"))
    assert len(paths) == (192 if samples.is_real else 25)
    for path in paths:
        content = path.read_bytes()
        with Image.open(path) as image:
            assert jpeg_markers.size_if_whole(content) in (image.size, None)
            assert (jpeg_markers.size_if_whole(content) is None) == (image.mode not in ("RGB", "L"))
        assert jpeg_markers.size_if_whole(content[:-100]) is None
