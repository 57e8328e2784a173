"""Record -> Record with pixels: decode, crop, flip, resize. Boxes and left/right words follow the picture.

A transform is a function `(Example, random) -> Example`; a stream of the recipe lists the ones it wants (`augmentations/`
holds more of them). What comes out is a square with the picture in its upper left corner (`letterbox`), the same in training
and at inference.

Which library does what was chosen by `benchmarks/loader.py`: simplejpeg decodes photos, to the same pixels as Pillow in 0.7 of
the time, torch mirrors and scales (smaller with Pillow's own filter, in a quarter of the time).
"""

from __future__ import annotations

import dataclasses
import functools
import io
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import simplejpeg
import torch
from PIL import Image
from torch.nn import functional

from omnidet.schema import FloatArray, Record

Pixels = npt.NDArray[np.uint8]

PADDING = 128
"""Grey level of the part of the square that the picture does not fill: in the middle, so that it is no strong edge."""

_JPEG = b"\xff\xd8"
_SMALL = 256 * 256
"""Pictures of fewer pixels are scaled by Pillow: it costs nothing there, and the drawn world stays the same to the bit."""

_SIDE = re.compile(r"\b(left|right)(?=\b|most\b|hand\b)", re.IGNORECASE)


@dataclass(frozen=True, eq=False)
class Example:
    """A Record whose image is decoded; `record.width`, `height` and boxes are those of `pixels`."""

    pixels: Pixels
    """(H, W, 3) RGB; a view where that saves a copy, so that strides may be negative."""
    record: Record
    frame: float = 0.0
    """Side of the square that is to be seen, in pixels of the picture, where it is larger than the picture; else 0."""


Transform = Callable[[Example, np.random.Generator], Example]


class Combination(Protocol):
    """Makes one picture of several of a stream."""

    def count(self, random: np.random.Generator) -> int:
        """How many pictures to make the next one of."""

    def side(self, count: int, side: int) -> int:
        """Side of the square that each of so many pictures gets."""

    def __call__(self, examples: Sequence[Example], side: int) -> Example:
        """The one picture, in a square of that side."""


def decode(record: Record, side: int | None = None, out: Pixels | None = None) -> Example:
    """Decode the image; JPEGs much larger than `side` are decoded at a reduced scale. The boxes are scaled to that.

    Args:
        out: the square (side, side, 3) that `letterbox` will fill; a photo that fits it is decoded into its place at once.
    """
    pixels = _decode_jpeg(record, side, out) if record.image.startswith(_JPEG) else None
    if pixels is None:
        with Image.open(io.BytesIO(record.image)) as image:
            if side is not None:
                image.draft("RGB", (side, side))  # never below the asked size; other formats ignore it
            pixels = np.array(image.convert("RGB"))
    height, width = pixels.shape[:2]
    return Example(pixels, _resized(record, width, height))


def _decode_jpeg(record: Record, side: int | None, out: Pixels | None) -> Pixels | None:
    """Pixels of a JPEG, or None where Pillow must decide: CMYK, damaged, or not what its first bytes say."""
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
        {"min_width": -(-width // part), "min_height": -(-height // part), "min_factor": 2} if part > 1 else {}
    )
    if out is not None and part == 1 and width == out.shape[1] and height <= out.shape[0]:
        options["buffer"] = out[:height]
    try:
        pixels: Pixels = simplejpeg.decode_jpeg(record.image, **options)
    except ValueError:
        return None
    return pixels


def flip(example: Example, random: np.random.Generator) -> Example:
    """Mirror half of the pictures, and swap the words left and right with them."""
    if random.random() < 0.5:
        return example
    record = example.record
    boxes = record.boxes_xyxy.copy()
    boxes[:, [0, 2]] = record.width - boxes[:, [2, 0]]
    flipped = dataclasses.replace(
        record,
        boxes_xyxy=boxes,
        phrases=tuple(_swap_sides(p) for p in record.phrases),
        absent=tuple(_swap_sides(p) for p in record.absent),
        not_exhaustive=tuple(_swap_sides(p) for p in record.not_exhaustive),
        caption=_swap_sides(record.caption),
    )
    return Example(example.pixels[:, ::-1], flipped, example.frame)


def crop(example: Example, random: np.random.Generator, min_share: float = 0.6, tries: int = 8) -> Example:
    """Cut a window out, with `min_share` of each side or more, that cuts through no box.

    A box is kept whole or lies outside altogether. A phrase that loses all its boxes is verified absent if the image's
    label space was verified at all, else it is dropped. Where no such window is found, the picture stays as it was.
    """
    record = example.record
    boxes = record.boxes_xyxy.tolist()
    for _ in range(tries):
        share = random.uniform(min_share, 1.0)
        width, height = round(record.width * share), round(record.height * share)
        x0 = int(random.integers(0, record.width - width + 1))
        y0 = int(random.integers(0, record.height - height + 1))
        inside = _inside(boxes, x0, y0, x0 + width, y0 + height)
        if inside is not None:
            corner = np.array([x0, y0, x0, y0], np.float32)
            shifted = dataclasses.replace(record, boxes_xyxy=record.boxes_xyxy - corner, width=width, height=height)
            kept = np.array(inside, bool)
            return Example(example.pixels[y0 : y0 + height, x0 : x0 + width], keep_boxes(shifted, kept), example.frame)
    return example


def _inside(boxes: list[list[float]], left: int, top: int, right: int, bottom: int) -> list[bool] | None:
    """Which boxes lie in a window, or None if it cuts one. Plain numbers: for a few boxes several times as fast as arrays."""
    inside = []
    for x0, y0, x1, y1 in boxes:
        is_inside = x0 >= left and y0 >= top and x1 <= right and y1 <= bottom
        if not is_inside and x1 > left and y1 > top and x0 < right and y0 < bottom:
            return None
        inside.append(is_inside)
    return inside


def letterbox(example: Example, side: int, out: Pixels | None = None) -> Example:
    """Scale the longer side (or the frame) to `side` and pad to a square at the right or below.

    Args:
        out: where to write the pixels (side, side, 3), so that a batch is written once.
    """
    record, width, height = _fitted(example, side)
    if out is None:
        out = np.empty((side, side, 3), np.uint8)
    _scale_into(out[:height, :width], _apart(example.pixels, out[:height, :width]))
    out[height:] = PADDING
    out[:height, width:] = PADDING
    return Example(out, record)


def resize(example: Example, side: int) -> Example:
    """Scale the longer side, or the frame where there is one, to `side`, without padding."""
    record, width, height = _fitted(example, side)
    out = np.empty((height, width, 3), np.uint8)
    _scale_into(out, example.pixels)
    return Example(out, record)


def _fitted(example: Example, side: int) -> tuple[Record, int, int]:
    """The record in a square of that side, and width and height there."""
    record = example.record
    scale = side / max(record.width, record.height, example.frame)
    width, height = max(1, round(record.width * scale)), max(1, round(record.height * scale))
    return _resized(record, width, height), width, height


def _apart(pixels: Pixels, out: Pixels) -> Pixels:
    """The pixels, copied where they were decoded into `out` and are not all of it, or mirrored all of it."""
    mirrored = pixels.strides[1] < 0
    upright = pixels[:, ::-1] if mirrored else pixels
    in_place = upright.shape == out.shape and upright.ctypes.data == out.ctypes.data
    if in_place or not np.may_share_memory(upright, out):
        return pixels
    copied = upright.copy()  # the other way round it takes ten times as long
    return copied[:, ::-1] if mirrored else copied


def _scale_into(out: Pixels, pixels: Pixels) -> None:
    """Bilinear, and smooth where the picture gets smaller. Each pixel is written once where the libraries let it."""
    (height, width), before = out.shape[:2], pixels.shape[:2]
    if before != (height, width) and before[0] * before[1] < _SMALL:
        whole = Image.fromarray(np.ascontiguousarray(pixels))
        out[...] = np.asarray(whole.resize((width, height), Image.Resampling.BILINEAR))
    elif pixels.strides[1] < 0:
        upright = pixels[:, ::-1]
        if before != (height, width):
            upright = np.empty(out.shape, np.uint8)
            _scale_into(upright, pixels[:, ::-1])
        torch.from_numpy(out).copy_(torch.from_numpy(upright).flip(1))  # numpy takes several times as long
    elif before == (height, width):
        if pixels.ctypes.data != out.ctypes.data:
            out[...] = pixels
    else:
        planes = torch.from_numpy(pixels).permute(2, 0, 1)[None]
        smaller = functional.interpolate(planes, (height, width), mode="bilinear", align_corners=False, antialias=True)
        out[...] = smaller[0].permute(1, 2, 0).numpy()


def keep_boxes(record: Record, kept: npt.NDArray[np.bool_]) -> Record:
    """The record with those of its boxes (N,) that are left after a crop.

    A phrase that names none of them any more is verified absent if the image's label space was verified at all, else dropped.
    """
    if kept.all():
        return record
    new_index = np.cumsum(kept) - 1
    named = {
        phrase: tuple(int(new_index[i]) for i in boxes if kept[i])
        for phrase, boxes in zip(record.phrases, record.phrase_boxes, strict=True)
    }
    gone = [phrase for phrase, boxes in named.items() if not boxes]
    verified = [phrase for phrase in gone if record.absent and phrase not in record.not_exhaustive]
    left = {phrase: boxes for phrase, boxes in named.items() if boxes}
    return dataclasses.replace(
        record,
        boxes_xyxy=record.boxes_xyxy[kept],
        phrases=tuple(left),
        phrase_boxes=tuple(left.values()),
        absent=(*record.absent, *verified),
        not_exhaustive=tuple(p for p in record.not_exhaustive if p in left),
    )


def _resized(record: Record, width: int, height: int) -> Record:
    if (width, height) == (record.width, record.height):
        return record
    factors = np.array([width / record.width, height / record.height] * 2, np.float32)
    boxes: FloatArray = record.boxes_xyxy * factors
    return dataclasses.replace(record, boxes_xyxy=boxes, width=width, height=height)


@functools.lru_cache(maxsize=10_000)  # the same names stand on image after image
def _swap_sides(text: str) -> str:
    return _SIDE.sub(lambda found: _in_case("right" if found[0].lower() == "left" else "left", found[0]), text)


def _in_case(word: str, model: str) -> str:
    return word.upper() if model.isupper() else word.capitalize() if model[0].isupper() else word
