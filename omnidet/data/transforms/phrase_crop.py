"""A crop for images with descriptions: each phrase keeps everything it names or is dropped."""

from __future__ import annotations

import dataclasses
import re
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from omnidet.data.relations import is_relational
from omnidet.data.transforms.example import Example
from omnidet.schema import Record

_PLACE = re.compile(
    r"\b(left|right|top|bottom|upper|lower|middle|cent(er|re)|corner|edge|side|front|back|rear|far|near(er)?|clos(e|er)|"
    r"first|second|third|last|other|only|alone|more|less|\w+most|\w\w+est)\b",
    re.IGNORECASE,
)
"""Words that refer to the whole image: places in it, an order, or comparisons."""


@dataclass(frozen=True)
class PhraseCrop:
    """Crops to a window that cuts through no box.

    A phrase with a box outside is dropped, together with those of its boxes that no other phrase
    names: if one of "two dogs" is left, it is not "two dogs". A relation ("star left of circle") or
    a place in the image ("the second from the left", "the biggest") needs the rest of the image,
    which the boxes do not cover, so an image with such a phrase is not cropped.
    """

    kind: ClassVar[str] = "phrase_crop"

    min_share: float = 0.6
    """Smallest share of each side."""
    tries: int = 8

    def __call__(self, example: Example, random: np.random.Generator) -> Example:
        record = example.record
        if any(needs_the_picture(phrase) for phrase in record.phrases):
            return example
        boxes = record.boxes_xyxy
        for _ in range(self.tries):
            share = random.uniform(self.min_share, 1.0)
            width, height = (
                max(1, round(record.width * share)),
                max(1, round(record.height * share)),
            )
            x0 = int(random.integers(0, record.width - width + 1))
            y0 = int(random.integers(0, record.height - height + 1))
            window = np.array([x0, y0, x0 + width, y0 + height], np.float32)
            inside = np.all((boxes[:, :2] >= window[:2]) & (boxes[:, 2:] <= window[2:]), axis=1)
            outside = np.any((boxes[:, 2:] <= window[:2]) | (boxes[:, :2] >= window[2:]), axis=1)
            if not np.all(inside | outside):
                continue
            kept = _keep_whole_phrases(record, inside)
            if record.phrases and not kept.phrases:
                continue
            kept = dataclasses.replace(
                kept, boxes_xyxy=kept.boxes_xyxy - window[[0, 1, 0, 1]], width=width, height=height
            )
            return Example(example.pixels[y0 : y0 + height, x0 : x0 + width], kept, example.frame)
        return example


def needs_the_picture(phrase: str) -> bool:
    """Whether a phrase may become untrue if part of the image is cut away."""
    return is_relational(phrase) or _PLACE.search(phrase) is not None


def _keep_whole_phrases(record: Record, inside: npt.NDArray[np.bool_]) -> Record:
    """The phrases all of whose boxes are inside, and their boxes.

    A phrase that goes is unknown from then on, not absent.
    """
    whole = {
        phrase: boxes
        for phrase, boxes in zip(record.phrases, record.phrase_boxes, strict=True)
        if all(inside[i] for i in boxes)
    }
    kept = sorted({i for boxes in whole.values() for i in boxes})
    place = {old: new for new, old in enumerate(kept)}
    return dataclasses.replace(
        record,
        boxes_xyxy=record.boxes_xyxy[kept],
        phrases=tuple(whole),
        phrase_boxes=tuple(tuple(place[i] for i in boxes) for boxes in whole.values()),
        not_exhaustive=tuple(phrase for phrase in record.not_exhaustive if phrase in whole),
    )
