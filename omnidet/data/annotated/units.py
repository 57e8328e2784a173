"""Whether boxes are in the unit that their format prescribes, judged over all boxes of a folder
before any of them is used.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from omnidet.data.annotated.boxes import overlap
from omnidet.data.folder_formats.sheets import Corners, Layout

MAX_OUTSIDE = 0.5
"""Share of boxes that stick out of their pictures above which they make no sense, whatever the
cause.
"""
SUSPICIOUS = 0.1
"""Share of such boxes above which another layout is looked for that explains all of them."""
LEAST_TELLING = 0.02
"""Share of them, three at least, from which another layout is taken if under it not one box sticks
out: centres and corners are mistaken for one another without more where the boxes are small.
"""
SAME_PLACE = 0.5
"""IoU of a box with the one around its outline below which one of the two is wrong."""
LEAST_LAYOUT, LEAST_PICTURES = 10, 5
"""Boxes of which it means something that all lie inside under another layout, and pictures of a
file that is judged alone.
"""
LEAST_CORNERS = 3
"""Boxes that stick out, of which it means something that as corners all lie inside."""
SCALES = {100: "percent", 1000: "thousandths of the picture"}
"""Units in which a picture has one size, whatever its own."""
_SLACK, _SLACK_PIXELS = 0.02, 2.0
_FINE, _FINE_PIXELS = 0.002, 1.0
_WANTS: dict[Layout, str] = {
    "xywh": "the upper left corner, width and height",
    "cxcywh": "the centre, width and height",
    "xyxy": "the corners",
}


@dataclass(frozen=True)
class Drawn:
    """A box as it is written."""

    corners: Corners
    """As the format wants to have it understood; pixels or shares."""
    size: tuple[int, int]
    """(width, height) of the picture that it was drawn on."""
    area: float | None
    outline: Corners | None
    where: str
    picture: Path = Path()
    file: Path = Path()
    """Of the annotation."""
    is_outline: bool = False
    """Around an outline: no four numbers, which may mean another layout."""


Refuse = Callable[[Sequence[Drawn], str, str], None]
"""Raises ValueError: the boxes that make no sense, what is wrong with them, and what they look
like.
"""


def check(
    boxes: Sequence[Drawn], layout: Layout, is_in_shares: bool, title: str, root: str
) -> None:
    """Raise ValueError, with the likely cause, where most boxes make no sense."""
    wants = (
        f"{title} wants {_WANTS[layout]}, in {'shares from 0 to 1' if is_in_shares else 'pixels'}"
    )

    def refuse(found: Sequence[Drawn], what: str, cause: str) -> None:
        raise ValueError(
            f"{root}: {len(found)} of {len(boxes)} boxes {what} (first: {found[0].where}). "
            f"{wants}; {cause}: convert them, or export them again"
        )

    turned = [b for b in boxes if b.corners[0] > b.corners[2] or b.corners[1] > b.corners[3]]
    if len(turned) > max(1, SUSPICIOUS * len(boxes)):
        refuse(turned, "end before they begin", _why_turned(boxes, layout, is_in_shares))
    boxes = [b for b in boxes if b.corners[0] < b.corners[2] and b.corners[1] < b.corners[3]]
    if not boxes:
        return
    if is_in_shares:
        large = [box for box in boxes if max(map(abs, box.corners)) > 2]
        if len(large) > MAX_OUTSIDE * len(boxes):
            refuse(large, "have numbers above 1", "these look like pixels or percent")
    else:
        # Of Pascal VOC 1 was taken from the near corner.
        shares = [box for box in boxes if max(map(abs, box.corners)) <= 1]
        if len(shares) >= MAX_OUTSIDE * len(boxes):
            refuse(shares, "lie in a single pixel", "these look like shares from 0 to 1")
        tiny = [
            b for b in boxes if min(b.corners[2] - b.corners[0], b.corners[3] - b.corners[1]) < 2
        ]
        if len(tiny) > MAX_OUTSIDE * len(boxes):
            refuse(tiny, "are narrower than two pixels", "these are in another unit")
        scale = _scale(boxes)
        if scale:
            what = f"lie in the first {scale} pixels of larger pictures, across and down"
            refuse(boxes, what, f"these look like {SCALES[scale]}")
    _check_areas(boxes, layout, refuse)
    _check_inside(boxes, layout, is_in_shares, refuse)


def _why_turned(boxes: Sequence[Drawn], layout: Layout, is_in_shares: bool) -> str:
    if layout != "xyxy":
        return "in these a width or a height is negative"

    def all_inside(how: Callable[[Corners], Corners]) -> bool:
        inside = [_is_inside(how(box.corners), box.size, is_in_shares) for box in boxes]
        return sum(inside) >= 0.99 * len(boxes)

    if all_inside(lambda numbers: _as("xywh", numbers)):
        return "these look like width and height"
    if all_inside(_sorted):
        return "these look like corners of which the far one comes first"
    return "these are in another order or unit"


def _sorted(corners: Corners) -> Corners:
    x0, y0, x1, y1 = corners
    return min(x0, x1), min(y0, y1), max(x0, x1), max(y0, y1)


def _scale(boxes: Sequence[Drawn]) -> int | None:
    """The unit that all boxes fill, far from the edges of their pictures; None without one."""
    smallest = min(min(box.size) for box in boxes)
    pictures = len({box.picture for box in boxes})
    if len(boxes) < LEAST_LAYOUT or pictures < LEAST_PICTURES or not are_spread(boxes):
        return None
    ends = [max(box.corners[side] for box in boxes) for side in (2, 3)]
    begins = [min(box.corners[side] for box in boxes) for side in (0, 1)]
    for scale in SCALES:
        fills = max(begins) <= scale / 4 and min(ends) >= 3 * scale / 4
        if fills and max(ends) <= 1.005 * scale and smallest >= 2 * scale:
            return scale
    return None


def are_spread(boxes: Sequence[Drawn]) -> bool:
    """Whether things lie now here and now there, not always in one place, as what a fixed camera
    sees: their centres fill a third of what they reach, across and down.
    """
    for near, far in ((0, 2), (1, 3)):
        centres = [(box.corners[near] + box.corners[far]) / 2 for box in boxes]
        reached = max(b.corners[far] for b in boxes) - min(b.corners[near] for b in boxes)
        if max(centres) - min(centres) < reached / 3:
            return False
    return True


def doubt(boxes: Sequence[Drawn], layout: Layout, is_in_shares: bool) -> str:
    """A sentence where some boxes stick out of their pictures, too few for `check`, and under
    another layout not one does; "" elsewhere. Where things are small and far from the edges,
    centres that are taken for corners leave no other sign.
    """
    outside = _outside(boxes, layout, layout, is_in_shares, True)
    if len(boxes) < LEAST_LAYOUT or not outside:
        return ""
    for other, wanted in _WANTS.items():
        # Of boxes near an edge hardly one has its far corner where its width and height are.
        among = outside if other == "xyxy" and len(outside) >= LEAST_CORNERS else boxes
        if not _outside(among, layout, other, is_in_shares, True):
            return (
                f"{len(outside)} of {len(boxes)} boxes stick out of their pictures, and none would "
                f"if the four numbers were {wanted} (first: {outside[0].where}): look at some "
                "boxes, and convert them if so"
            )
    return ""


def parts(boxes: Sequence[Drawn]) -> dict[Path, list[Drawn]]:
    """The boxes of each annotation file, or of each folder of files of a picture or a few; those of
    which there are enough to judge alone. Empty where there is one part.

    Somebody may have written one of them in another unit.
    """
    pictures: dict[Path, set[Path]] = defaultdict(set)
    for box in boxes:
        pictures[box.file].add(box.picture)
    found: dict[Path, list[Drawn]] = defaultdict(list)
    for box in boxes:
        is_alone = len(pictures[box.file]) >= LEAST_PICTURES
        found[box.file if is_alone else box.file.parent].append(box)
    enough = {p: own for p, own in found.items() if len(own) >= LEAST_LAYOUT}
    return enough if len(found) > 1 else {}


def _check_areas(boxes: Sequence[Drawn], layout: Layout, refuse: Refuse) -> None:
    """The area and the outline that COCO json gives tell width and height from a corner."""
    if layout != "xywh":
        return
    corners = [box for box in boxes if _has_area_of_corners(box) or _has_outline_of_corners(box)]
    if len(corners) > MAX_OUTSIDE * len(boxes):
        refuse(corners, "have the area of a box between two corners", "these look like corners")
    framed = [box for box in boxes if box.outline is not None]
    off = [box for box in framed if box.outline and _lies_elsewhere(box.outline, box.corners)]
    if len(off) > max(1, SUSPICIOUS * len(framed)):
        refuse(
            off, "lie elsewhere than their outlines", "one of the two is of another state or unit"
        )


def _lies_elsewhere(outline: Corners, corners: Corners) -> bool:
    """Whether an outline is not that of the box, nor of what is seen of a thing that something
    hides: that reaches to edges of its box, three of them if it is cut straight.
    """
    if overlap(outline, corners) >= SAME_PLACE:
        return False
    slack = [max(1.0, 0.02 * (corners[i] - corners[i - 2])) for i in (2, 3)] * 2
    gaps = [abs(o - c) for o, c in zip(outline, corners, strict=True)]
    return sum(gap > s for gap, s in zip(gaps, slack, strict=True)) > 1


def _has_area_of_corners(box: Drawn) -> bool:
    x0, y0, x1, y1 = _written(box.corners, "xywh")
    is_near = [_is_near(box.area, (c[2] - c[0]) * (c[3] - c[1])) for c in _both(box)]
    return is_near == [False, True] and x1 > x0 and y1 > y0


def _has_outline_of_corners(box: Drawn) -> bool:
    if box.outline is None:
        return False
    return [overlap(box.outline, c) > 0.8 for c in _both(box)] == [False, True]


def _both(box: Drawn) -> tuple[Corners, Corners]:
    """The box with width and height, and with corners instead."""
    return box.corners, _written(box.corners, "xywh")


def _check_inside(
    boxes: Sequence[Drawn], layout: Layout, is_in_shares: bool, refuse: Refuse
) -> None:
    others = {name: wanted for name, wanted in _WANTS.items() if name != layout}

    def outside_as(other: Layout, fine: bool) -> list[Drawn]:
        return _outside(boxes, layout, other, is_in_shares, fine)

    outside, finely = outside_as(layout, False), outside_as(layout, True)
    for other, wanted in others.items():
        cause = f"these look like {wanted}"
        is_suspicious = len(outside) >= max(2, SUSPICIOUS * len(boxes))
        if is_suspicious and len(outside_as(other, False)) <= 0.01 * len(boxes):
            refuse(outside, "stick out of their pictures", cause)
        if len(finely) >= max(3, LEAST_TELLING * len(boxes)) and not outside_as(other, True):
            refuse(finely, "stick out of their pictures", cause)
    if len(outside) > MAX_OUTSIDE * len(boxes):
        refuse(outside, "stick out of their pictures", "these are in another unit")


def _outside(
    boxes: Sequence[Drawn], layout: Layout, other: Layout, is_in_shares: bool, fine: bool
) -> list[Drawn]:
    """Boxes that stick out of their pictures if their numbers mean another layout."""
    read = [(box, _as(other, _written(box.corners, layout))) for box in boxes]
    return [box for box, c in read if not _is_inside(c, box.size, is_in_shares, fine)]


def _written(corners: Corners, layout: Layout) -> Corners:
    """The four numbers as they stand in the file."""
    x0, y0, x1, y1 = corners
    if layout == "xyxy":
        return corners
    if layout == "xywh":
        return x0, y0, x1 - x0, y1 - y0
    return (x0 + x1) / 2, (y0 + y1) / 2, x1 - x0, y1 - y0


def _as(layout: Layout, numbers: Corners) -> Corners:
    """The corners that four numbers mean."""
    a, b, c, d = numbers
    if layout == "xyxy":
        return numbers
    if layout == "xywh":
        return a, b, a + c, b + d
    return a - c / 2, b - d / 2, a + c / 2, b + d / 2


def _is_inside(
    corners: Corners, size: tuple[int, int], is_in_shares: bool, fine: bool = False
) -> bool:
    x0, y0, x1, y1 = corners
    if x1 <= x0 or y1 <= y0:
        return False
    share, pixels = (_FINE, _FINE_PIXELS) if fine else (_SLACK, _SLACK_PIXELS)
    for low, high, side in ((x0, x1, size[0]), (y0, y1, size[1])):
        whole = 1 if is_in_shares else side
        slack = max(share, pixels / side) * whole
        if low < -slack or high > whole + slack:
            return False
    return True


def _is_near(one: float | None, other: float) -> bool:
    return one is not None and abs(one - other) <= 0.02 * abs(one) + 1e-6
