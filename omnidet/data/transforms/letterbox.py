"""Scale an image and pad it to a square, with the image in the upper left corner.

Training and inference share this code. torch mirrors and scales: it shrinks with the same filter as
Pillow in a quarter of the time (`benchmarks/loader.py`).
"""

from __future__ import annotations

import numpy as np
from PIL import Image

from omnidet.data.transforms.example import Example, Pixels, resized
from omnidet.schema import Record

PADDING = 128
"""Grey level of the part of the square that the image does not fill: in the middle of the range, so
that the border is not a strong edge."""

_SMALL = 256 * 256
"""Images with fewer pixels are scaled by Pillow. There it costs nothing, and the drawn world stays
the same to the bit."""


def letterbox(
    example: Example, side: int, out: Pixels | None = None, *, by_pillow: bool = False
) -> Example:
    """Scale the longer side, or the frame if there is one, to `side`; pad on the right or below.

    Args:
        out: where to write the pixels (side, side, 3), so that a batch is written only once.
        by_pillow: scale with Pillow whatever the size, so that torch is not needed. No channel of a
            pixel differs by more than one level of 255.
    """
    record, width, height = _fitted(example, side)
    if out is None:
        out = np.empty((side, side, 3), np.uint8)
    inside = out[:height, :width]
    if by_pillow:
        inside[...] = _by_pillow(example.pixels, width, height)
    else:
        _scale_into(inside, _apart(example.pixels, inside))
    out[height:] = PADDING
    out[:height, width:] = PADDING
    return Example(out, record)


def resize(example: Example, side: int) -> Example:
    """Scale the longer side, or the frame if there is one, to `side`, without padding."""
    record, width, height = _fitted(example, side)
    out = np.empty((height, width, 3), np.uint8)
    _scale_into(out, example.pixels)
    return Example(out, record)


def _fitted(example: Example, side: int) -> tuple[Record, int, int]:
    """The record of the image in a square of that side, and its width and height there."""
    record = example.record
    scale = side / max(record.width, record.height, example.frame)
    width, height = max(1, round(record.width * scale)), max(1, round(record.height * scale))
    return resized(record, width, height), width, height


def _apart(pixels: Pixels, out: Pixels) -> Pixels:
    """The pixels, copied if writing to `out` would overwrite them while they are read.

    That happens if they were decoded into `out` and do not fill it exactly.
    """
    mirrored = pixels.strides[1] < 0
    upright = pixels[:, ::-1] if mirrored else pixels
    in_place = upright.shape == out.shape and upright.ctypes.data == out.ctypes.data
    if in_place or not np.may_share_memory(upright, out):
        return pixels
    copied = upright.copy()  # copying mirrored memory takes ten times as long
    return copied[:, ::-1] if mirrored else copied


def _by_pillow(pixels: Pixels, width: int, height: int) -> Pixels:
    """Scaled with a bilinear filter, antialiased if the image gets smaller."""
    if pixels.shape[:2] == (height, width):
        return pixels
    whole = Image.fromarray(np.ascontiguousarray(pixels))
    return np.asarray(whole.resize((width, height), Image.Resampling.BILINEAR))


def _scale_into(out: Pixels, pixels: Pixels) -> None:
    """Scale with a bilinear filter, antialiased if the image gets smaller.

    Each pixel is written only once if the libraries allow it.
    """
    import torch
    from torch.nn import functional

    (height, width), before = out.shape[:2], pixels.shape[:2]
    if before != (height, width) and before[0] * before[1] < _SMALL:
        out[...] = _by_pillow(pixels, width, height)
    elif pixels.strides[1] < 0:
        upright = pixels[:, ::-1]
        if before != (height, width):
            upright = np.empty(out.shape, np.uint8)
            _scale_into(upright, pixels[:, ::-1])
        # numpy takes several times as long to mirror.
        torch.from_numpy(out).copy_(torch.from_numpy(upright).flip(1))
    elif before == (height, width):
        if pixels.ctypes.data != out.ctypes.data:
            out[...] = pixels
    else:
        planes = torch.from_numpy(pixels).permute(2, 0, 1)[None]
        smaller = functional.interpolate(
            planes, (height, width), mode="bilinear", align_corners=False, antialias=True
        )
        out[...] = smaller[0].permute(1, 2, 0).numpy()
