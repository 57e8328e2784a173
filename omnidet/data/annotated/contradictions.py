"""Annotations of one picture that cannot all be right: an older state beside the newer one, two
annotators, copies of a picture that were annotated apart.

Nothing says which of them is right. With the boxes of all, some would lie on nothing, or bear the
name that somebody corrected.
"""

from __future__ import annotations

import itertools
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from omnidet.data.annotated.account import Account
from omnidet.data.annotated.boxes import Placed, overlap

SAME_BOX = 0.5
"""Least IoU of two boxes for the same thing, drawn twice."""
EXACTLY = 0.9
"""From here on files of different people, which share nothing, speak of the same thing as well: a
thing and a part of it overlap less."""
LEAST_SHARED = 0.5
"""Share of the boxes that are in both of two files, above which they are states of one another."""
TWO_NAMES = "box that two annotations name differently"


@dataclass(frozen=True)
class Look:
    """What the annotations of one series say of a picture beyond their boxes."""

    file: Path
    covers: frozenset[str] | None
    """Names that were looked for; None for all."""


class Drawn(Protocol):
    """A picture with its boxes."""

    path: Path
    boxes: list[Placed]
    looks: dict[str, Look]
    """By series."""
    doubts: set[str]
    doubts_all: bool


Pair = frozenset[Path]


def settle(root: Path, drafts: Sequence[Drawn], account: Account) -> None:
    """Leave out the boxes that have two names.

    Raises ValueError where one of two files is an older state of the other, and they differ.
    """
    shared = _shared(drafts)
    for draft in drafts:
        _refuse_moved(root, draft)
        two_names: dict[int, Placed] = {}
        for (one, own), (other, others) in _pairs(draft):
            pair = frozenset([draft.looks[one].file, draft.looks[other].file])
            if pair in shared:
                _refuse_missing(root, draft, other, own, others, shared[pair])
                _refuse_missing(root, draft, one, others, own, shared[pair])
                continue
            least = SAME_BOX if len(pair) == 1 else EXACTLY
            for box, rival in itertools.product(own, others):
                if _have_two_names(draft, (box, own), (rival, others), least):
                    two_names |= {id(box): box, id(rival): rival}
        for box in two_names.values():
            account.leave("boxes", TWO_NAMES, box.where)
            draft.doubts.add(box.name)
        draft.boxes[:] = [box for box in draft.boxes if id(box) not in two_names]


def differ(one: Drawn, other: Drawn) -> bool:
    """Whether two copies of a picture were annotated so that not both can be right: the same name
    elsewhere, the same box under two names, or one state of the same boxes with more of them.
    """
    ours, theirs = _plain(one.boxes), _plain(other.boxes)
    names = {box.name for box in ours} & {box.name for box in theirs}
    same = sum(_is_drawn(box, theirs, EXACTLY) for box in ours)
    are_states = same > 0 and same >= LEAST_SHARED * min(len(ours), len(theirs))
    for own, others, looks in ((ours, theirs, other.looks), (theirs, ours, one.looks)):
        for box in own:
            if _is_drawn(box, others, SAME_BOX):
                continue
            is_named = any(overlap(box.corners, rival.corners) >= EXACTLY for rival in others)
            looked = any(_covers(look, box.name) for look in looks.values())
            if box.name in names or (looked and (are_states or is_named)):
                return True
    return False


def _pairs(draft: Drawn) -> Iterator[tuple[tuple[str, list[Placed]], tuple[str, list[Placed]]]]:
    """Every two series that speak of the picture, with their boxes."""
    by_series: dict[str, list[Placed]] = {series: [] for series in draft.looks}
    for box in _plain(draft.boxes):
        by_series[box.series].append(box)
    return itertools.combinations(by_series.items(), 2)


def _plain(boxes: Sequence[Placed]) -> list[Placed]:
    return [box for box in boxes if not box.is_crowd]


def _shared(drafts: Sequence[Drawn]) -> Mapping[Pair, int]:
    """How many boxes two files have in common, of those files that are states of one another."""
    same: Counter[Pair] = Counter()
    most: Counter[Pair] = Counter()
    for draft in drafts:
        for (one, own), (other, others) in _pairs(draft):
            pair = frozenset([draft.looks[one].file, draft.looks[other].file])
            if len(pair) == 2:
                same[pair] += sum(_is_drawn(box, others, EXACTLY) for box in own)
                most[pair] += min(len(own), len(others))
    return {p: count for p, count in same.items() if 0 < count >= LEAST_SHARED * most[p]}


def _is_drawn(box: Placed, others: Sequence[Placed], least: float) -> bool:
    return any(
        box.name == rival.name and overlap(box.corners, rival.corners) >= least for rival in others
    )


def _covers(look: Look, name: str) -> bool:
    return look.covers is None or name in look.covers


def _have_two_names(
    draft: Drawn,
    one: tuple[Placed, Sequence[Placed]],
    other: tuple[Placed, Sequence[Placed]],
    least: float,
) -> bool:
    """Whether two boxes of two series are of one thing and differ in its name."""
    (box, own), (rival, others) = one, other
    if box.name == rival.name or overlap(box.corners, rival.corners) < least:
        return False
    if _is_drawn(box, others, SAME_BOX) or _is_drawn(rival, own, SAME_BOX):
        return False  # one thing lies on the other, and both series say so
    # A file of one name alone says nothing against another name.
    return _covers(draft.looks[box.series], rival.name) and _covers(
        draft.looks[rival.series], box.name
    )


def _refuse_missing(
    root: Path, draft: Drawn, series: str, own: Sequence[Placed], others: Sequence[Placed], num: int
) -> None:
    """Raise ValueError for a box that the other series, which looked for its name, has not."""
    look = draft.looks[series]
    for box in own:
        is_unknown = draft.doubts_all or box.name in draft.doubts
        if is_unknown or not _covers(look, box.name) or _is_drawn(box, others, SAME_BOX):
            continue
        raise ValueError(
            f"{root / draft.path}: {box.where} boxes {box.name!r}, which {look.file} does not, "
            f"and the two files have {num} boxes in common: keep the right one of them, most often "
            "the newer, and move the other out of the folder"
        )


def _refuse_moved(root: Path, draft: Drawn) -> None:
    """Raise ValueError where two series box a name in the same picture differently."""
    by_name: dict[str, dict[str, list[Placed]]] = defaultdict(lambda: defaultdict(list))
    for box in draft.boxes:
        by_name[box.name][box.series].append(box)
    for name, files in by_name.items():
        for one, other in itertools.combinations(files.values(), 2):
            for box, rivals in [(b, other) for b in one] + [(b, one) for b in other]:
                best = max(overlap(box.corners, rival.corners) for rival in rivals)
                if best < SAME_BOX:
                    places = {draft.looks[b.series].file for b in (box, rivals[0])}
                    remedy = (
                        "keep the right one of the two files, most often the newer, and move the "
                        "other out of the folder"
                        if len(places) > 1
                        else "keep the annotation of one person, which Label Studio can mark as "
                        "ground truth"
                    )
                    raise ValueError(
                        f"{root / draft.path}: {box.where} and {rivals[0].where} "
                        f"box {name!r} differently: {remedy}"
                    )
