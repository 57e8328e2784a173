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
    """(H, W, 3) RGB; a view where that saves a copy, so that strides may be negative."""
    record: Record
    frame: float = 0.0
    """Side of the square that is to be seen, in pixels of the picture, where it is larger than the
    picture; else 0."""


Transform = Callable[[Example, np.random.Generator], Example]


class Combination(Protocol):
    """Makes one picture of several of a stream."""

    def count(self, random: np.random.Generator) -> int:
        """How many pictures to make the next one of."""

    def side(self, count: int, side: int) -> int:
        """Side of the square that each of so many pictures gets."""

    def __call__(self, examples: Sequence[Example], side: int) -> Example:
        """The one picture, in a square of that side."""


def keep_boxes(record: Record, kept: npt.NDArray[np.bool_]) -> Record:
    """The record with those of its boxes (N,) that are left after a crop.

    A phrase that names none of them any more is verified absent if the image's label space was
    verified at all, else dropped.
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
    """The record of the picture at another size: its boxes are scaled."""
    if (width, height) == (record.width, record.height):
        return record
    factors = np.array([width / record.width, height / record.height] * 2, np.float32)
    boxes: FloatArray = record.boxes_xyxy * factors
    return dataclasses.replace(record, boxes_xyxy=boxes, width=width, height=height)
