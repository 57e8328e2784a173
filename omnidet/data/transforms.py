"""Record -> Record with pixels: decode, crop, flip, resize. Boxes and left/right words follow the picture.

A transform is a function `(Example, random) -> Example`; a stream of the recipe lists the ones it wants. What comes out is
a square with the picture in its upper left corner (`letterbox`), the same in training and at inference.
"""

from __future__ import annotations

import dataclasses
import io
import re
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image

from omnidet.schema import FloatArray, Record

Pixels = npt.NDArray[np.uint8]

PADDING = 128
"""Grey level of the part of the square that the picture does not fill: in the middle, so that it is no strong edge."""

_SIDE = re.compile(r"\b(left|right)(?=\b|most\b|hand\b)", re.IGNORECASE)


@dataclass(frozen=True, eq=False)
class Example:
    """A Record whose image is decoded; `record.width`, `height` and boxes are those of `pixels`."""

    pixels: Pixels
    """(H, W, 3) RGB."""
    record: Record


Transform = Callable[[Example, np.random.Generator], Example]


def decode(record: Record, side: int | None = None) -> Example:
    """Decode the image; JPEGs much larger than `side` are decoded at a reduced scale, which is several times faster.

    The boxes are scaled to the decoded size.
    """
    with Image.open(io.BytesIO(record.image)) as image:
        if side is not None:
            image.draft("RGB", (side, side))  # never below the asked size; other formats ignore it
        pixels = np.asarray(image.convert("RGB"))
    height, width = pixels.shape[:2]
    return Example(pixels, _resized(record, width, height))


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
    return Example(np.ascontiguousarray(example.pixels[:, ::-1]), flipped)


def crop(example: Example, random: np.random.Generator, min_share: float = 0.6, tries: int = 8) -> Example:
    """Cut a window out, with `min_share` of each side or more, that cuts through no box.

    A box is kept whole or lies outside altogether. A phrase that loses all its boxes is verified absent if the image's
    label space was verified at all, else it is dropped. Where no such window is found, the picture stays as it was.
    """
    record = example.record
    boxes = record.boxes_xyxy
    for _ in range(tries):
        share = random.uniform(min_share, 1.0)
        width, height = round(record.width * share), round(record.height * share)
        x0 = int(random.integers(0, record.width - width + 1))
        y0 = int(random.integers(0, record.height - height + 1))
        window = np.array([x0, y0, x0 + width, y0 + height], np.float32)
        inside = np.all((boxes[:, :2] >= window[:2]) & (boxes[:, 2:] <= window[2:]), axis=1)
        outside = np.any((boxes[:, 2:] <= window[:2]) | (boxes[:, :2] >= window[2:]), axis=1)
        if np.all(inside | outside):
            shifted = dataclasses.replace(record, boxes_xyxy=boxes - window[[0, 1, 0, 1]], width=width, height=height)
            return Example(example.pixels[y0 : y0 + height, x0 : x0 + width], _keep_boxes(shifted, inside))
    return example


def letterbox(example: Example, side: int) -> Example:
    """Scale the longer side to `side` and pad to a square at the right or below."""
    record = example.record
    scale = side / max(record.width, record.height)
    width, height = max(1, round(record.width * scale)), max(1, round(record.height * scale))
    pixels = example.pixels
    if pixels.shape[:2] != (height, width):
        pixels = np.asarray(Image.fromarray(pixels).resize((width, height), Image.Resampling.BILINEAR))
    if (height, width) != (side, side):
        square = np.full((side, side, 3), PADDING, np.uint8)
        square[:height, :width] = pixels
        pixels = square
    return Example(pixels, _resized(record, width, height))


def _keep_boxes(record: Record, kept: npt.NDArray[np.bool_]) -> Record:
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


def _swap_sides(text: str) -> str:
    return _SIDE.sub(lambda found: _in_case("right" if found[0].lower() == "left" else "left", found[0]), text)


def _in_case(word: str, model: str) -> str:
    return word.upper() if model.isupper() else word.capitalize() if model[0].isupper() else word
