"""A picture with what was found drawn on it, and the things that were found cut out of it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw

from omnidet.inference import lettering
from omnidet.inference.detections import Detections
from omnidet.inference.pictures import AnyPicture, read
from omnidet.inference.question import shown
from omnidet.schema import FloatArray

READABLE_SIDE = 480
"""Smaller pictures are enlarged: labels are not readable on thumbnails."""
_STACKED = 3
"""Labels above a box, in it and below it that a place is looked for at."""
_MOST_APART = 300
"""Labels that are kept apart: of more, nobody reads any."""
_LONGEST = 500
"""Letters of a label that are measured."""
_MARGIN = 2


def draw(image: AnyPicture, found: Detections, phrases: Sequence[str]) -> Image.Image:
    """The picture with boxes and labels, in one colour for each phrase; the best is on top.

    Labels are kept apart where there is room, and shortened to the width of the picture. Where no
    font of this machine has the letters of a phrase, its label is the place of the phrase: "#2".
    """
    picture = read(image).image()
    scale = max(1.0, READABLE_SIDE / max(picture.size))
    if scale > 1:
        picture = picture.resize((round(picture.width * scale), round(picture.height * scale)))
    canvas = ImageDraw.Draw(picture)
    size = max(10, max(picture.size) // 80)
    boxes_K4 = np.asarray(found.boxes_xyxy) * np.float32(scale)
    colours = [f"hsl({int(phrase) * 137 % 360}, 90%, 45%)" for phrase in found.phrase]
    for (x0, y0, x1, y1), colour in reversed(list(zip(boxes_K4.tolist(), colours, strict=True))):
        canvas.rectangle(
            (x0, y0, max(x0, x1), max(y0, y1)), outline=colour, width=max(2, size // 6)
        )
    labels = [
        _label(phrases[int(phrase)], int(phrase), float(score), size, picture.width)
        for phrase, score in zip(found.phrase, found.scores, strict=True)
    ]
    places = _places(boxes_K4, labels, picture.size)
    for label, (x, y), colour in reversed(list(zip(labels, places, colours, strict=True))):
        canvas.rectangle((x, y, x + label.width - 1, y + label.height - 1), fill=colour)
        canvas.text((x + _MARGIN, y), label.text, fill="white", font=label.font)
    return picture


@dataclass(frozen=True)
class _Label:
    """What is written at a box."""

    text: str
    font: lettering.Font
    width: int
    height: int


def _label(phrase: str, place: int, score: float, size: int, most: int) -> _Label:
    """The label of a box, `most` pixels wide at most.

    Args:
        place: of the phrase among all.
    """
    found = lettering.lettered(phrase[:_LONGEST], size) or lettering.lettered(_number(place), size)
    assert found is not None  # Pillow's own has digits
    name, font = found

    def width(letters: int) -> int:
        return math.ceil(font.getlength(_text(name, letters, score))) + 2 * _MARGIN

    letters = len(name)
    if width(letters) > most:  # the longest that fits
        least, letters = 0, letters - 1
        while least < letters:
            middle = (least + letters + 1) // 2
            least, letters = (middle, letters) if width(middle) <= most else (least, middle - 1)
    ascent, descent = font.getmetrics()
    return _Label(_text(name, letters, score), font, width(letters), ascent + descent)


def numbered(phrases: Sequence[str], most: int = 5) -> str | None:
    """A line for people whose phrases are drawn as numbers.

    Args:
        most: phrases that are named; of the others only the number is said.
    """
    without = set(lettering.unwritable(phrases))
    found = [f"{shown(p)} as {_number(i)!r}" for i, p in enumerate(phrases) if p in without]
    if not found:
        return None
    more = f" and {len(found) - most} more" if len(found) > most else ""
    return (
        f"in drawn pictures {', '.join(found[:most])}{more}: no font here has all letters of it; "
        "install one that has, such as those of Noto"
    )


def _number(place: int) -> str:
    """What a phrase is called in a picture whose font has not its letters."""
    return f"#{place + 1}"


def _text(name: str, letters: int, score: float) -> str:
    shown = name if letters >= len(name) else f"{name[:letters].rstrip()}…"
    return f"{shown} {score:.2f}"


def _places(
    boxes_K4: FloatArray, labels: Sequence[_Label], size: tuple[int, int]
) -> list[tuple[int, int]]:
    """The upper left corner of each label, at its box and in the picture; the first ones choose."""
    taken = np.zeros((0, 4), np.float32)
    found: list[tuple[int, int]] = []
    for box, label in zip(boxes_K4.tolist(), labels, strict=True):
        corners_C2 = _corners(box, label, size)
        best = 0
        if len(found) < _MOST_APART:
            ends_C2 = corners_C2 + np.array([label.width, label.height])
            lengths_CN2 = np.minimum(ends_C2[:, None], taken[:, 2:]) - np.maximum(
                corners_C2[:, None], taken[:, :2]
            )
            best = int(lengths_CN2.clip(min=0).prod(-1).sum(-1).argmin())
            taken = np.concatenate([taken, [[*corners_C2[best], *ends_C2[best]]]])
        x, y = corners_C2[best].tolist()
        found.append((int(x), int(y)))
    return found


def _corners(box: Sequence[float], label: _Label, size: tuple[int, int]) -> FloatArray:
    """Where a label may stand: above its box, in it, below it; from its left edge, to its right."""
    x0, y0, x1, y1 = box
    steps = range(_STACKED)
    lines = [*(y0 - (step + 1) * label.height for step in steps)]
    lines += [start + step * label.height for start in (y0, y1) for step in steps]
    last_x, last_y = max(0, size[0] - label.width), max(0, size[1] - label.height)
    inside = [y for y in lines if 0 <= y <= last_y] or [min(max(0, y0), last_y)]
    lefts = [min(max(0, x), last_x) for x in (x0, x1 - label.width)]
    return np.floor(np.array([(x, y) for x in lefts for y in inside], np.float32))


def crops(image: AnyPicture, found: Detections) -> list[Image.Image]:
    """Each thing that was found, cut out along its box; a pixel wide and high at least."""
    picture = read(image).image()
    cut = []
    for x0, y0, x1, y1 in found.boxes_xyxy.tolist():
        left, top = min(int(x0), picture.width - 1), min(int(y0), picture.height - 1)
        right, bottom = max(round(x1), left + 1), max(round(y1), top + 1)
        cut.append(picture.crop((left, top, right, bottom)))
    return cut
