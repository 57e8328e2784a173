"""Image bytes -> pixels.

simplejpeg decodes photographs, to the same pixels as Pillow in 0.7 of the time
(`benchmarks/loader.py`).
"""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import simplejpeg
from PIL import Image

from omnidet.data.transforms.example import Example, Pixels, resized
from omnidet.schema import Record

_JPEG = b"\xff\xd8"


def decode(record: Record, side: int | None = None, out: Pixels | None = None) -> Example:
    """Decode the image; JPEGs much larger than `side` are decoded at a reduced scale. The boxes are
    scaled to that.

    Args:
        out: the square (side, side, 3) that `letterbox` will fill; a photo that fits it is decoded
            into its place at once.
    """
    pixels = _decode_jpeg(record, side, out) if record.image.startswith(_JPEG) else None
    if pixels is None:
        with Image.open(io.BytesIO(record.image)) as image:
            if side is not None:
                image.draft(
                    "RGB", (side, side)
                )  # never below the asked size; other formats ignore it
            pixels = np.array(image.convert("RGB"))
    height, width = pixels.shape[:2]
    return Example(pixels, resized(record, width, height))


def _decode_jpeg(record: Record, side: int | None, out: Pixels | None) -> Pixels | None:
    """Pixels of a JPEG, or None where Pillow must decide: CMYK, damaged, or not what its first
    bytes say."""
    try:
        height, width, colours, _ = simplejpeg.decode_jpeg_header(record.image)
    except ValueError:
        return None
    if colours == "CMYK":
        return None
    part = 1
    while side is not None and part < 8 and min(width, height) >= 2 * part * side:
        part *= 2
    # Halves, quarters and eighths alone: the scales in between are slower than the whole.
    options: dict[str, Any] = (
        {"min_width": -(-width // part), "min_height": -(-height // part), "min_factor": 2}
        if part > 1
        else {}
    )
    if out is not None and part == 1 and width == out.shape[1] and height <= out.shape[0]:
        options["buffer"] = out[:height]
    try:
        pixels: Pixels = simplejpeg.decode_jpeg(record.image, **options)
    except ValueError:
        return None
    return pixels
