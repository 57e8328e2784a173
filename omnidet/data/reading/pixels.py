"""Pictures as people see them: turned as their EXIF tag says, in 8 bits whatever they were stored
in, and on white where they are transparent.
"""

from __future__ import annotations

import struct

import numpy as np
from PIL import ExifTags, Image

DEEP_MODES = ("I", "F", "I;16", "I;16L", "I;16B", "I;16N")
"""Pillow's modes of more than 8 bits a pixel: its own conversion cuts them off at 255."""
MAX_12_BITS, MAX_16_BITS = 4095, 65535
SIDEWAYS = (5, 6, 7, 8)
"""Orientations that swap width and height."""


def orientation(image: Image.Image) -> int:
    """The EXIF orientation, 1 to 8; 1, upright, where there is none or it cannot be read."""
    try:
        found = image.getexif().get(ExifTags.Base.Orientation, 1)
    except (OSError, SyntaxError, ValueError, KeyError, TypeError, struct.error):
        return 1
    return found if isinstance(found, int) and 1 <= found <= 8 else 1


def eight_bits(image: Image.Image) -> Image.Image:
    """The picture with 8 bits a channel: itself unless its mode is one of `DEEP_MODES`.

    The full scale is the least of 8, 12 and 16 bits that holds the brightest pixel; of floats it is
    1 where none is above 1. Anything else is stretched from its darkest to its brightest pixel.
    """
    if image.mode not in DEEP_MODES:
        return image
    values = np.nan_to_num(np.asarray(image, np.float64), nan=0.0, posinf=0.0, neginf=0.0)
    low, high = float(values.min()), float(values.max())
    scales = (1, 255, MAX_16_BITS) if image.mode == "F" else (255, MAX_12_BITS, MAX_16_BITS)
    fitting = [float(scale) for scale in scales if high <= scale]
    if low >= 0 and fitting:
        scale = fitting[0]
    else:
        values, scale = values - low, max(high - low, 1e-9)
    return Image.fromarray(np.round(values * (255 / scale)).astype(np.uint8))


def is_flat(image: Image.Image) -> bool:
    """Whether its colours alone are what a viewer shows: 8 bits, and no pixel is transparent."""
    if image.mode in DEEP_MODES or not image.has_transparency_data:
        return image.mode not in DEEP_MODES
    return image.convert("RGBA").getchannel("A").getextrema()[0] == 255


def flat(image: Image.Image) -> Image.Image:
    """The picture in RGB of 8 bits, on white where it is transparent."""
    image = eight_bits(image)
    if image.has_transparency_data:
        layers = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", layers.size, "white"), layers)
    return image.convert("RGB")
