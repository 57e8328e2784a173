"""Mosaics: several images in one, for small objects and many names.

For names only: descriptions such as "left of" would no longer be true.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from omnidet.config import require
from omnidet.data.transforms.example import Example
from omnidet.data.transforms.letterbox import PADDING, letterbox
from omnidet.schema import Record


@dataclass(frozen=True)
class Mosaic:
    """A grid of 1 x 1, 2 x 2 or 3 x 3 images."""

    kind: ClassVar[str] = "mosaic"

    shares: tuple[float, ...] = (0.4, 0.3, 0.3)
    """How often each grid is drawn, smallest first (OWL-ViT's shares, arXiv 2205.06230)."""

    def __post_init__(self) -> None:
        fits = len(self.shares) >= 1 and min(self.shares) >= 0 and abs(sum(self.shares) - 1) < 1e-6
        require(fits, f"Mosaic(shares={self.shares}): give shares that sum to 1")

    def count(self, random: np.random.Generator) -> int:
        """How many images to make the next one of."""
        return int(1 + random.choice(len(self.shares), p=self.shares)) ** 2

    def side(self, count: int, side: int) -> int:
        """Side of the square for each of `count` images."""
        return int(side // round(count**0.5))

    def __call__(self, examples: Sequence[Example], side: int) -> Example:
        """The images, row by row."""
        grid = round(len(examples) ** 0.5)
        tile = self.side(len(examples), side)
        pixels = np.full((side, side, 3), PADDING, np.uint8)
        records = []
        for number, example in enumerate(examples):
            row, column = divmod(number, grid)
            x0, y0 = column * side // grid, row * side // grid
            placed = letterbox(example, tile, pixels[y0 : y0 + tile, x0 : x0 + tile]).record
            moved = placed.boxes_xyxy + np.array([x0, y0, x0, y0], np.float32)
            records.append(dataclasses.replace(placed, boxes_xyxy=moved))
        return Example(pixels, joined(records, side))


def joined(records: Sequence[Record], side: int) -> Record:
    """What is known about an image that is made of these.

    A name is absent if it is absent from every part. If some part has it and another says nothing
    about it, it gives positives but no negatives. If no part has it and one says nothing about it,
    it is unknown.
    """
    starts = np.cumsum([0, *(len(record.boxes_xyxy) for record in records)])
    named: dict[str, list[int]] = {}
    for record, start in zip(records, starts, strict=False):
        for phrase, boxes in zip(record.phrases, record.phrase_boxes, strict=True):
            named.setdefault(phrase, []).extend(int(start) + i for i in boxes)
    known = [{*record.phrases, *record.absent} for record in records]
    unsure = {phrase for record in records for phrase in record.not_exhaustive}
    everywhere = set.intersection(*known)
    return Record(
        image=b"",
        width=side,
        height=side,
        source=records[0].source,
        image_id="+".join(record.image_id for record in records),
        boxes_xyxy=np.concatenate([record.boxes_xyxy for record in records]),
        phrases=tuple(named),
        phrase_boxes=tuple(tuple(boxes) for boxes in named.values()),
        absent=tuple(
            name for name in records[0].absent if name in everywhere and name not in named
        ),
        not_exhaustive=tuple(
            phrase for phrase in named if phrase in unsure or phrase not in everywhere
        ),
    )
