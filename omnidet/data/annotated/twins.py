"""Pictures of two folders that bear the same names and boxes and differ as files: two sizes or
versions of one dataset, which are not copies to the byte.
"""

from __future__ import annotations

import itertools
from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from omnidet.data.annotated.boxes import Placed, overlap
from omnidet.data.annotated.pictures import Opened
from omnidet.data.folder_formats.folder import key

LEAST = 3
"""Pairs below which two pictures may show the same by chance."""
LEAST_SHARE = 0.5
"""Of the pairs with one name: an older version has other boxes in some."""
SAME = 0.9
"""IoU."""


class Drawn(Protocol):
    """A picture with its boxes."""

    path: Path
    opened: Opened
    split: str
    boxes: list[Placed]


def note(drafts: Sequence[Drawn]) -> str:
    """A sentence on the first two folders of such pictures; "" where there are none."""
    by_name: dict[str, list[Drawn]] = defaultdict(list)
    for draft in drafts:
        if draft.boxes:
            by_name[key(draft.path.stem)].append(draft)
    pairs: Counter[tuple[Path, Path]] = Counter()
    same: Counter[tuple[Path, Path]] = Counter()
    for own in by_name.values():
        for one, other in itertools.combinations(own, 2):
            if one.split and one.split == other.split:
                continue  # two cameras of one rig, colour and heat: nothing of the test is learned
            folders = one.path.parent, other.path.parent
            pairs[folders] += 1
            same[folders] += _show_the_same(one, other)
    for (one_folder, other_folder), count in same.items():
        if count >= max(LEAST, LEAST_SHARE * pairs[one_folder, other_folder]):
            return (
                f"{count} pictures in {one_folder} and in {other_folder} have the same names and "
                "boxes and are other files: if they are two sizes or versions of one dataset, keep "
                "one of the two, or the detector may be tested on what it was trained on"
            )
    return ""


def _show_the_same(one: Drawn, other: Drawn) -> bool:
    ours, theirs = _in_shares(one), _in_shares(other)
    if len(ours) != len(theirs):
        return False
    return all(
        any(name == n and overlap(corners, c) >= SAME for n, c in theirs) for name, corners in ours
    )


def _in_shares(draft: Drawn) -> list[tuple[str, tuple[float, ...]]]:
    sides = draft.opened.size * 2
    return [
        (box.name, tuple(v / side for v, side in zip(box.corners, sides, strict=True)))
        for box in draft.boxes
    ]
