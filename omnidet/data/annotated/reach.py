"""Boxes that all lie in the upper left part of their pictures, as those do that are in percent, or
that were drawn on smaller pictures. A fixed camera may see things there alone, so they are not
refused.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Sequence

from omnidet.data.annotated import units
from omnidet.data.annotated.units import Drawn, parts

MAX_REACH = 2 / 3
"""Share of the picture that not one box ends beyond, across or down, below which the boxes may have
been drawn on a smaller picture.
"""
LEAST_BOXES, LEAST_PICTURES = 30, 10
"""To speak of what not one box does: of boxes anywhere in their pictures more than half reach
further, and those of ten pictures all fall short by chance once in thousands of datasets."""
LEAST_PERCENT = 8
"""Boxes beside others that reach further, where all numbers can be percent: of boxes anywhere one
in three falls short both across and down.
"""


def doubts(boxes: Sequence[Drawn], is_in_shares: bool) -> list[str]:
    """Sentences on all boxes, or else on those of a file, or on those with fractions of a pixel."""
    said = doubt(boxes, len({box.picture for box in boxes}), is_in_shares)
    if said or is_in_shares:
        return [said] if said else []
    fractions = [box for box in boxes if any(value % 1 for value in box.corners)]
    found = [(f" of {place}", own) for place, own in parts(boxes).items()]
    for what, own in [*found, (" with fractions of a pixel", fractions)]:
        mine = {id(box) for box in own}
        others = [box for box in boxes if id(box) not in mine]
        # What is always in one place, as before a fixed camera, is so in every file.
        if not others or max(_extent(others, False)[1]) <= MAX_REACH:
            continue
        said = doubt(own, len({box.picture for box in own}), False, what) or _percent(own, what)
        if said:
            return [said]
    return []


def doubt(boxes: Sequence[Drawn], num_pictures: int, is_in_shares: bool, what: str = "") -> str:
    """A sentence where none of the boxes reaches far; "" elsewhere.

    Args:
        what: which boxes of the folder these are, for people.
    """
    if not boxes:
        return ""
    begin, reach = _extent(boxes, is_in_shares)
    # Things in the middle of their pictures are as far from one edge as from the other.
    if max(reach) > MAX_REACH or any(b > (1 - r) / 2 for b, r in zip(begin, reach, strict=True)):
        return ""
    if len(boxes) < LEAST_BOXES or num_pictures < LEAST_PICTURES:
        # The less they reach, the fewer tell as much, unless they are always in one place.
        least = [max(reach) ** count for count in (len(boxes), num_pictures)]
        usual = [MAX_REACH**count for count in (LEAST_BOXES, LEAST_PICTURES)]
        if any(map(operator.gt, least, usual)) or not units.are_spread(boxes):
            return ""
    is_percent = not is_in_shares and _largest(boxes) <= 100
    cause = "are they in percent" if is_percent else "were they drawn on smaller pictures"
    return _sentence(boxes, reach, what, cause)


def _percent(boxes: Sequence[Drawn], what: str) -> str:
    if len(boxes) < LEAST_PERCENT or _largest(boxes) > 100:
        return ""
    _, reach = _extent(boxes, False)
    return _sentence(boxes, reach, what, "are they in percent") if max(reach) <= MAX_REACH else ""


def _sentence(boxes: Sequence[Drawn], reach: Sequence[float], what: str, cause: str) -> str:
    return (
        f"not one of {len(boxes)} boxes{what} reaches beyond {math.ceil(100 * max(reach))} % of "
        f"its picture, across or down: {cause}? Look at some of them, and convert them if so"
    )


def _extent(boxes: Sequence[Drawn], is_in_shares: bool) -> tuple[list[float], list[float]]:
    """Where the first box begins and the last one ends, as shares across and down."""
    begin, reach = [], []
    for near, far, side in ((0, 2, 0), (1, 3, 1)):
        whole = [1 if is_in_shares else box.size[side] for box in boxes]
        pairs = list(zip(boxes, whole, strict=True))
        begin.append(min(box.corners[near] / full for box, full in pairs))
        reach.append(max(box.corners[far] / full for box, full in pairs))
    return begin, reach


def _largest(boxes: Sequence[Drawn]) -> float:
    return max(max(box.corners) for box in boxes)
