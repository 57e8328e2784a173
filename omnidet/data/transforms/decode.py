"""Image bytes -> pixels.

simplejpeg decodes JPEGs to the same pixels as Pillow in 0.7 of the time (`benchmarks/loader.py`).
"""

from __future__ import annotations

from typing import Any

import numpy as np
import simplejpeg

from omnidet.data.reading import picture_files
from omnidet.data.transforms.example import Example, Pixels, resized
from omnidet.schema import Record

_JPEG = b"\xff\xd8"


def decode(
    record: Record,
    side: int | None = None,
    out: Pixels | None = None,
    deadline: float | None = None,
) -> Example:
    """Decode an image.

    JPEGs much larger than `side` are decoded at a reduced scale, boxes with them.

    Args:
        out: the square (side, side, 3) that `letterbox` will fill; a JPEG that fits without scaling
            is decoded straight into it.
        deadline: of `time.monotonic`; decoding ends with TimeoutError after it.
    """
    pixels = _decode_jpeg(record, side, out) if record.image.startswith(_JPEG) else None
    if pixels is None:
        with picture_files.opened(record.image, deadline) as image:
            if (
                side is not None
            ):  # never below the size asked for; formats other than JPEG ignore it
                image.draft("RGB", (side, side))
            pixels = np.array(image.convert("RGB"))
    height, width = pixels.shape[:2]
    return Example(pixels, resized(record, width, height))


def _decode_jpeg(record: Record, side: int | None, out: Pixels | None) -> Pixels | None:
    """Pixels of a JPEG, or None for Pillow to decide: CMYK, damaged, or not a JPEG after all."""
    try:
        height, width, colours, _ = simplejpeg.decode_jpeg_header(record.image)
    except ValueError:
        return None
    if colours == "CMYK":
        return None
    part = 1
    while side is not None and part < 8 and min(width, height) >= 2 * part * side:
        part *= 2
    options: dict[str, Any] = {}
    if part > 1:  # halves, quarters and eighths: scales in between are slower than the full size
        options = {"min_width": -(-width // part), "min_height": -(-height // part)}
        options["min_factor"] = 2
    if out is not None and part == 1 and width == out.shape[1] and height <= out.shape[0]:
        options["buffer"] = out[:height]
    try:
        pixels: Pixels = simplejpeg.decode_jpeg(record.image, **options)
    except ValueError:
        return None
    return pixels
