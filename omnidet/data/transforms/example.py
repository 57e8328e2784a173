"""A Record with decoded pixels, and what all transforms share."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from omnidet.schema import FloatArray, Record

Pixels = npt.NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class Example:
    """A Record whose image is decoded; `record.width`, `height` and boxes are those of `pixels`."""

    pixels: Pixels
    """(H, W, 3) RGB; may be a view, with negative strides, where that saves a copy."""
    record: Record
    frame: float = 0.0
    """Side in pixels of a square around the image that is to be shown, if larger than the image;
    else 0."""


Transform = Callable[[Example, np.random.Generator], Example]


class Combination(Protocol):
    """Makes one image of several images of a stream."""

    def count(self, random: np.random.Generator) -> int:
        """How many images to make the next one of."""

    def side(self, count: int, side: int) -> int:
        """Side of the square for each of `count` images."""

    def __call__(self, examples: Sequence[Example], side: int) -> Example:
        """The combined image, in a square of that side."""


def keep_boxes(record: Record, kept: npt.NDArray[np.bool_]) -> Record:
    """The record with those of its boxes (N,) that a crop has kept.

    A phrase that has lost all its boxes is verified absent if the image has a verified label space,
    else it is dropped.
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


def resized(record: Record, width: int, height: int) -> Record:
    """The record of the image at another size, with scaled boxes."""
    if (width, height) == (record.width, record.height):
        return record
    factors = np.array([width / record.width, height / record.height] * 2, np.float32)
    boxes: FloatArray = record.boxes_xyxy * factors
    return dataclasses.replace(record, boxes_xyxy=boxes, width=width, height=height)
