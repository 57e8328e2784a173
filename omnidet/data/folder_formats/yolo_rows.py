"""The rows of YOLO labels: `class cx cy width height`, and what other tasks and tools write
after or instead of these numbers.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from omnidet.data.folder_formats.sheets import Corners, number, outline_box

_INSIDE = 0.01
"""Rounding: how far a share may lie beyond the picture."""
_DECIMAL_COMMA = re.compile(r"-?[0-9]+(,[0-9]+)?")
"""As programs write numbers whose system is set to German, French or the like."""
_LEAST_TELLING = 5
"""Rows whose first two points, of three, lie as the numbers of a box: by chance one row in four."""
_LEAST_FAR = 0.2
"""Share of the rows from which on a second point that lies far from all others means a size."""
_USUAL = 0.5
"""Share of the rows that decides how many numbers every row has."""


@dataclass(frozen=True)
class Row:
    """One line."""

    kind: str
    """The class, as it is written."""
    values: tuple[float, ...] | None
    """The numbers behind it; None where one of them is not a number."""
    where: str


def rows(text: str) -> list[Row]:
    """The lines that are not empty."""
    found = []
    for place, line in enumerate(text.splitlines(), start=1):
        words = line.replace(", ", " ").replace(";", " ").split()
        if len(words) >= 5 and all(_DECIMAL_COMMA.fullmatch(word) for word in words[1:]):
            words = [word.replace(",", ".") for word in words]
        if len(words) == 1 and "," in line:
            words = [word.strip() for word in line.split(",")]
        if words:
            values = [number(word) for word in words[1:]]
            whole = None if None in values else tuple(v for v in values if v is not None)
            found.append(Row(words[0], whole, f"line {place}"))
    return found


def looks_like_label(found: Sequence[Row]) -> bool:
    """Whether a file holds rows of numbers, at least one of them long enough for a box."""
    return any(row.values is not None and len(row.values) >= 4 for row in found)


@dataclass(frozen=True)
class Reading:
    """What the numbers behind the class mean in all rows of a dataset."""

    num_behind_box: frozenset[int]
    """How many numbers may follow the four of a box."""
    has_outlines: bool

    def confidence(self, row: Row) -> float | None:
        """What follows the box where one number does."""
        values = row.values or ()
        return values[4] if len(values) == 5 and 1 in self.num_behind_box else None

    def corners(self, row: Row) -> tuple[Corners | None, bool]:
        """The box as shares, None where the row has another shape; whether it was computed from an
        outline.
        """
        values = row.values or ()
        if len(values) >= 4 and len(values) - 4 in self.num_behind_box:
            cx, cy, width, height = values[:4]
            return (cx - width / 2, cy - height / 2, cx + width / 2, cy + height / 2), False
        if self.has_outlines and len(values) >= 6 and len(values) % 2 == 0:
            return outline_box(list(zip(values[::2], values[1::2], strict=True))), True
        return None, False


def reading(found: Sequence[tuple[Path, Row]], keypoints: int | None) -> Reading:
    """What the rows mean, judged over all of them.

    Raises ValueError where they may mean two things.
    """
    sound = [(path, row.values) for path, row in found if row.values and len(row.values) >= 4]
    behind = {0}
    if keypoints is not None:
        return Reading(frozenset({0, 1, keypoints, keypoints + 1}), False)
    for path, values in sound:
        if len(values) == 5 and not -_INSIDE <= values[4] <= 1 + _INSIDE:
            raise ValueError(
                f"{path}: the sixth number of a row is {values[4]:g}: a confidence lies between "
                "0 and 1, and boxes with an angle are not read: take the column out if it numbers "
                "tracks; of turned boxes write the corners, as `class x1 y1 x2 y2 x3 y3 x4 y4`"
            )
    if any(len(values) == 5 for _, values in sound):
        behind.add(1)
    usual, count = (
        Counter(len(values) - 4 for _, values in sound).most_common(1)[0] if sound else (0, 0)
    )
    if usual == 1 and count >= _USUAL * len(sound):
        behind = {1}  # a row that lacks a number is not a box without a confidence
    long = [(path, values) for path, values in sound if len(values) >= 6]
    lengths = {len(values) for _, values in long}
    if len(lengths) != 1:  # outlines differ in length, and nothing else does
        return Reading(frozenset(behind), True)
    length = lengths.pop()
    if _are_tracks([values for _, values in long]) or _have_flags([values for _, values in long]):
        is_usual = usual == length - 4 and count >= _USUAL * len(sound)
        return Reading(frozenset({usual} if is_usual else {*behind, length - 4}), False)
    for dims in (2, 3):
        if _have_points([values for _, values in long], dims):
            raise ValueError(
                f"{long[0][0]}: rows of {length + 1} numbers may be outlines or boxes with "
                f"keypoints: put `kpt_shape: [number of points, {dims}]` into data.yaml, or leave "
                "the box alone in each row"
            )
    is_telling = len(long) >= _LEAST_TELLING or len(long) == len(sound)
    if length == 6 and is_telling and all(_is_box(values) for _, values in long):
        raise ValueError(
            f"{long[0][0]}: rows of 7 numbers may be outlines of three points or boxes with two "
            "numbers behind, such as an angle and a confidence: leave the box alone in each row, "
            "or give the outlines a fourth point"
        )
    return Reading(frozenset(behind), True)


def _are_tracks(found: Sequence[tuple[float, ...]]) -> bool:
    """Whether a confidence and the number of a track follow each box."""
    ids = [values[5] for values in found if len(values) == 6]
    if len(ids) < len(found) or any(i != int(i) for i in ids):
        return False
    return any(i > 1 for i in ids) or all(map(_is_box, found))


def _have_flags(found: Sequence[tuple[float, ...]]) -> bool:
    """Whether keypoints have three numbers each, the last of which says if the point is visible."""
    return all(
        (len(values) - 4) % 3 == 0 and all(flag in (0.0, 1.0, 2.0) for flag in values[6::3])
        for values in found
    )


def _is_box(values: Sequence[float]) -> bool:
    """Whether the first four numbers can be a box in the picture."""
    cx, cy, width, height = values[:4]
    sides = (cx - width / 2, cy - height / 2, cx + width / 2, cy + height / 2)
    return min(sides) >= -_INSIDE and max(sides) <= 1 + _INSIDE


def _have_points(found: Sequence[tuple[float, ...]], dims: int) -> bool:
    """Whether keypoints of so many numbers may follow each box.

    A few points lie outside of their boxes. Of an outline no point lies far from all others, as the
    width and the height of a small box do.
    """
    if (len(found[0]) - 4) % dims:
        return False
    num_fitting = sum(_is_box_with_points(values, dims) for values in found)
    if dims == 2 and num_fitting == len(found):
        return True
    num_far = sum(_is_second_far(values, dims) for values in found)
    return num_fitting >= _USUAL * len(found) and num_far >= _LEAST_FAR * len(found)


def _is_box_with_points(values: Sequence[float], dims: int) -> bool:
    """Whether the first four numbers can be a box in the picture that holds the other points."""
    cx, cy, width, height = values[:4]
    points = _points(values, dims)
    is_seen = dims == 2 or all(0 <= flag <= 2 for flag in values[6::3])
    return (
        _is_box(values)
        and is_seen
        and all(abs(x - cx) <= width * 0.55 and abs(y - cy) <= height * 0.55 for x, y in points)
    )


def _is_second_far(values: Sequence[float], dims: int) -> bool:
    """Whether the second point lies further from the others than these from one another."""
    xs, ys = zip(tuple(values[:2]), *_points(values, dims), strict=True)
    x, y = values[2:4]
    reach = max(max(xs) - min(xs), max(ys) - min(ys))
    return bool(max(min(xs) - x, x - max(xs), min(ys) - y, y - max(ys)) > reach)


def _points(values: Sequence[float], dims: int) -> list[tuple[float, float]]:
    """Those behind the first four numbers, without the ones that are not in the picture."""
    found = zip(values[4::dims], values[5::dims], strict=True)
    return [(x, y) for x, y in found if (x, y) != (0.0, 0.0) and min(x, y) >= 0]
