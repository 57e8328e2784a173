"""Boxes in their pictures: cut at the edge, each one once, and none that two files draw
differently.
"""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from omnidet.data.annotated.account import Account
from omnidet.data.folder_formats.sheets import NO_AREA, Corners
from omnidet.data.reading.quarantine import MIN_BOX_SIDE

OUTSIDE = "box outside of its picture"
MOSTLY_OUTSIDE = "box that lies largely outside of its picture"
TWICE = "box that comes twice"
DISPUTED = "box that two annotations draw differently"
MIN_INSIDE = 2 / 3
"""Share of a box that must lie inside: what sticks out further was not drawn there."""
_SAME_PIXELS = 0.75
_SAME_OVERLAP = 0.9
_SAME_THING = 0.5
"""Overlaps from which two boxes of a name are the same box, and two boxes of the same thing."""


@dataclass(frozen=True)
class Placed:
    """A box in the picture as it is shown."""

    name: str
    corners: Corners
    is_crowd: bool
    series: str
    """See `Sheet.series`."""
    where: str


def clipped(corners: Corners, size: tuple[int, int]) -> Corners | str:
    """The part of the box inside the picture, or why it cannot be used."""
    x0, y0, x1, y1 = corners
    if x1 <= x0 or y1 <= y0:
        return NO_AREA
    inside = max(x0, 0.0), max(y0, 0.0), min(x1, float(size[0])), min(y1, float(size[1]))
    width, height = inside[2] - inside[0], inside[3] - inside[1]
    if width <= 0 or height <= 0:
        return OUTSIDE
    if width * height < MIN_INSIDE * (x1 - x0) * (y1 - y0):
        return MOSTLY_OUTSIDE
    return NO_AREA if min(width, height) < MIN_BOX_SIDE else inside


def settle(boxes: list[Placed], account: Account) -> set[str]:
    """Count the boxes of a picture and remove duplicates. Returns the names in dispute, whose boxes
    are removed.
    """
    by_name: dict[tuple[str, bool], list[Placed]] = defaultdict(list)
    for box in boxes:
        by_name[box.name, box.is_crowd].append(box)
    boxes.clear()
    names = set()
    for (name, is_crowd), own in by_name.items():
        own = _each_once(own, account)
        disputed = set() if is_crowd else _disputed(own)
        for place, box in enumerate(own):
            if place in disputed:
                account.leave("boxes", DISPUTED, box.where)
                names.add(name)
            else:
                boxes.append(box)
    account.keep("boxes", len(boxes))
    return names


def _each_once(boxes: list[Placed], account: Account) -> list[Placed]:
    """Without the boxes that are there already, to the rounding of another file."""
    kept: list[Placed] = []
    seen: set[tuple[int, ...]] = set()
    several = len({box.series for box in boxes}) > 1
    for box in boxes:
        rounded = tuple(round(4 * value) for value in box.corners)
        others = kept if several else ()
        if rounded in seen or any(_is_same(box, o) for o in others if o.series != box.series):
            account.leave("boxes", TWICE, box.where, is_loss=False)
        else:
            seen.add(rounded)
            kept.append(box)
    return kept


def _is_same(one: Placed, other: Placed) -> bool:
    pairs = zip(one.corners, other.corners, strict=True)
    is_close = all(abs(a - b) <= _SAME_PIXELS for a, b in pairs)
    return is_close or overlap(one.corners, other.corners) >= _SAME_OVERLAP


def _disputed(boxes: Sequence[Placed]) -> set[int]:
    """Places of the boxes that lie on one of another series: one thing, drawn differently."""
    if len({box.series for box in boxes}) == 1:
        return set()
    found = set()
    for (i, one), (j, other) in itertools.combinations(enumerate(boxes), 2):
        if one.series != other.series and overlap(one.corners, other.corners) >= _SAME_THING:
            found |= {i, j}
    return found


def overlap(one: Sequence[float], other: Sequence[float]) -> float:
    """Intersection over union."""
    width = min(one[2], other[2]) - max(one[0], other[0])
    height = min(one[3], other[3]) - max(one[1], other[1])
    if width <= 0 or height <= 0:
        return 0.0
    common = width * height
    areas = [(b[2] - b[0]) * (b[3] - b[1]) for b in (one, other)]
    return common / (areas[0] + areas[1] - common)
