"""Large-scale jitter: the image at 0.1 to 2 times its size.

Ghiasi et al., Simple Copy-Paste, arXiv 2012.07177.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from omnidet.config import require
from omnidet.data.transforms.example import Example, keep_boxes
from omnidet.schema import FloatArray, Record


@dataclass(frozen=True)
class LargeScaleJitter:
    """Zooms out, with padding around the image, or in to a window of it.

    For a stream whose phrases describe, give `largest=1`: zooming out removes nothing that a phrase
    may refer to.
    """

    kind: ClassVar[str] = "large_scale_jitter"

    smallest: float = 0.1
    largest: float = 2.0
    """Factors on the size; at 1 the longer side of the image fills the square."""
    min_visible: float = 0.6
    """Share of a box that must be inside the window. Such a box is cut to the window, others are
    removed (OWL-ViT's value, arXiv 2205.06230)."""

    def __post_init__(self) -> None:
        given = f"LargeScaleJitter(smallest={self.smallest}, largest={self.largest})"
        require(0 < self.smallest <= self.largest, f"{given}: give 0 < smallest <= largest")
        require(
            0 < self.min_visible <= 1,
            f"LargeScaleJitter(min_visible={self.min_visible}): give a share above 0, up to 1",
        )

    def __call__(self, example: Example, random: np.random.Generator) -> Example:
        record = example.record
        factor = random.uniform(self.smallest, self.largest)
        frame = max(record.width, record.height, example.frame) / factor
        seen = max(1, round(frame))
        width, height = min(record.width, seen), min(record.height, seen)
        x0 = int(random.integers(0, record.width - width + 1))
        y0 = int(random.integers(0, record.height - height + 1))
        if (width, height) == (record.width, record.height):
            return Example(example.pixels, record, frame)
        window = cut(record, x0, y0, width, height, self.min_visible)
        return Example(example.pixels[y0 : y0 + height, x0 : x0 + width], window, frame)


def cut(record: Record, x0: int, y0: int, width: int, height: int, min_visible: float) -> Record:
    """The record of a window of the image.

    A box stays, cut to the window, if at least `min_visible` of it is inside. If less is inside,
    the box is removed, and its names are marked as not exhaustive, since part of the object can
    still be seen. A box that is completely outside is removed like one that a crop leaves out.
    """
    corner = np.array([x0, y0, x0, y0], np.float32)
    inside: FloatArray = np.clip(
        record.boxes_xyxy - corner, 0, np.array([width, height] * 2, np.float32)
    )
    whole = np.maximum(_area(record.boxes_xyxy), np.finfo(np.float32).tiny)
    visible = _area(inside) / whole
    kept = visible >= min_visible
    in_part = np.flatnonzero((visible > 0) & ~kept).tolist()
    unsure = [
        phrase
        for phrase, boxes in zip(record.phrases, record.phrase_boxes, strict=True)
        if phrase not in record.not_exhaustive and not set(boxes).isdisjoint(in_part)
    ]
    marked = dataclasses.replace(
        record,
        boxes_xyxy=inside,
        width=width,
        height=height,
        not_exhaustive=(*record.not_exhaustive, *unsure),
    )
    return keep_boxes(marked, kept)


def _area(boxes_xyxy: FloatArray) -> FloatArray:
    area: FloatArray = (boxes_xyxy[:, 2] - boxes_xyxy[:, 0]) * (boxes_xyxy[:, 3] - boxes_xyxy[:, 1])
    return area
