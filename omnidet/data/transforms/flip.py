"""Mirror an image, and swap the words left and right."""

from __future__ import annotations

import dataclasses
import functools
import re

import numpy as np

from omnidet.data.transforms.example import Example

_SIDE = re.compile(r"\b(left|right)(?=\b|most\b|hand\b)", re.IGNORECASE)


def flip(example: Example, random: np.random.Generator) -> Example:
    """Mirror half of the images, and swap the words left and right in what describes them."""
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


@functools.lru_cache(maxsize=10_000)  # image after image has the same names
def _swap_sides(text: str) -> str:
    return _SIDE.sub(
        lambda found: _in_case("right" if found[0].lower() == "left" else "left", found[0]), text
    )


def _in_case(word: str, model: str) -> str:
    return word.upper() if model.isupper() else word.capitalize() if model[0].isupper() else word
