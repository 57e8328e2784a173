"""What a reader makes of annotation files: one sheet for each picture that a file speaks of, with
the shapes drawn on it.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

Corners = tuple[float, float, float, float]
"""x0, y0, x1, y1 as edges: x1 - x0 is the width."""
_DECIMAL_COMMA = re.compile(r"-?[0-9]+,[0-9]+")
Layout = Literal["xywh", "cxcywh", "xyxy"]
"""What the four numbers of a box mean in the files of a format."""

NO_NAME = "shape without a name"
NOT_FOUR_NUMBERS = "box that is not four numbers"
COMMAS = "box with decimal commas, such as 12,5 for 12.5"
NO_AREA = "box without an area"
NO_BOX = "shape that frames nothing: point, line or tag"
"""Where nobody draws boxes of the name, as of landmarks, no box is lost."""
OTHER_SHAPE = "shape whose box is not read: cuboid, skeleton, brush or the like"
UNKNOWN_CLASS = "box of a class that is not among the names"
NOT_SEARCHED = "picture of a file without annotations"


@dataclass(frozen=True)
class Shape:
    """One thing that somebody drew, whether or not it can be used."""

    name: str | None
    """As the file spells it; None where the file does not say, or what it says means nothing."""
    corners: Corners | None
    """In the unit of the sheet; None where the shape gives no box."""
    problem: str = ""
    """Why it gives no box, or no name."""
    is_crowd: bool = False
    """It frames a group or a region to ignore: the name may be there more often."""
    is_outline: bool = False
    """The corners were computed from an outline, a mask or a turned box, not read."""
    area: float | None = None
    """As the file says, where it does."""
    outline: Corners | None = None
    """The box around the outline, where the file has both."""
    where: str = ""
    """Line or entry, for people."""


@dataclass(frozen=True)
class Sheet:
    """What one annotation file says of one picture."""

    file: Path
    picture: Path | None
    """None where it was not found; `problem` then says why."""
    shapes: tuple[Shape, ...] = ()
    problem: str = ""
    """Why nothing of the sheet can be used."""
    size: tuple[int, int] | None = None
    """(width, height) of the picture that was drawn on, as the file says; None where it does not.
    """
    unit: Literal["pixels", "shares"] = "pixels"
    covers: frozenset[str] | None = None
    """Names that were looked for. None where the format does not say: all of the folder."""
    split: str = ""
    """`train`, `val`, `test`, or `` where nothing says."""
    origin: str = ""
    """Folders by which the annotation and the picture differ: another origin may mean another
    picture of the same name.
    """
    where: str = ""
    """Entry of the file, for people."""
    declared: str = ""
    """The picture as a file of several spells it, where it was not found."""
    series: str = ""
    """Sheets of one series complete one another; what two series draw differently is in dispute.

    Empty: that of the file.
    """

    @property
    def place(self) -> str:
        """Where a person finds it."""
        return f"{self.file} {self.where}".strip()


@dataclass(frozen=True)
class Found:
    """All that one reader made of a folder."""

    title: str
    """Of the format, for people."""
    layout: Layout
    sheets: Sequence[Sheet]
    names: Sequence[str] = ()
    """In the order of the dataset, where it has one."""
    notes: Sequence[str] = field(default=())
    """What people should know of how the files were read."""
    fault: str = ""
    """Why none of its names can be trusted, with the remedy: refused once this format is chosen."""


def outline_box(points: Sequence[tuple[float, float]]) -> Corners | None:
    """The box around an outline; None for fewer than three points."""
    if len(points) < 3:
        return None
    xs, ys = [x for x, _ in points], [y for _, y in points]
    return min(xs), min(ys), max(xs), max(ys)


def turned(corners: Corners, degrees: float) -> Corners:
    """The box around a box that is turned about its centre."""
    if not degrees:
        return corners
    x0, y0, x1, y1 = corners
    angle = math.radians(degrees)
    width = abs((x1 - x0) * math.cos(angle)) + abs((y1 - y0) * math.sin(angle))
    height = abs((x1 - x0) * math.sin(angle)) + abs((y1 - y0) * math.cos(angle))
    cx, cy = (x0 + x1) / 2, (y0 + y1) / 2
    return cx - width / 2, cy - height / 2, cx + width / 2, cy + height / 2


def number(value: object) -> float | None:
    """A finite number, or a text that spells one, as a float."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        found = float(value)
    except (ValueError, OverflowError):
        return None
    return found if abs(found) < 1e12 else None  # NaN compares false


def no_box(values: Iterable[object]) -> str:
    """Why four values are not the numbers of a box."""
    texts = [value.strip() for value in values if isinstance(value, str)]
    return COMMAS if any(map(_DECIMAL_COMMA.fullmatch, texts)) else NOT_FOUR_NUMBERS


def scored(scores: Iterable[float | None], place: object) -> list[str]:
    """What people should know of boxes that have a score, as nobody who draws one gives it. Whole
    numbers up to 5 are no sign: tools that must write a score write 1, and people grade.
    """
    count = sum(score is not None and score not in range(1, 6) for score in scores)
    if not count:
        return []
    return [
        f"{count} boxes in {place} have a score, as a detector writes it: they are learned as if "
        "somebody had drawn them"
    ]


def size_of(width: object, height: object) -> tuple[int, int] | None:
    """A declared size; None where it is missing, or 0, as tools write that do not know it."""
    found = number(width), number(height)
    if found[0] is None or found[1] is None or min(found[0], found[1]) < 1:
        return None
    return round(found[0]), round(found[1])
