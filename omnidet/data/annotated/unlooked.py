"""A val or test in which not one picture has a box: a benchmark keeps the boxes of its test to
itself, and tools write an empty annotation for what nobody has come to.

To train on such pictures would teach that nothing is there.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol, TypeVar

from omnidet.data.annotated.account import Account
from omnidet.data.annotated.boxes import Placed


class Drawn(Protocol):
    """A picture with its boxes."""

    path: Path
    split: str
    boxes: list[Placed]
    doubts: set[str]
    doubts_all: bool


_Draft = TypeVar("_Draft", bound=Drawn)


def left_out(drafts: Sequence[_Draft], account: Account) -> list[_Draft]:
    """The pictures without those of such a part; its pictures go into the account."""
    parts: dict[str, list[_Draft]] = defaultdict(list)
    for draft in drafts:
        parts[draft.split].append(draft)
    empty = {
        split
        for split, own in parts.items()
        if split in ("val", "test") and not any(map(_shows_something, own))
    }
    for split in sorted(empty):
        first, reason = str(parts[split][0].path), f"picture of {split}, in which none has a box"
        for _ in parts[split]:
            account.take_back("pictures", reason, first, is_loss=False)
    return [draft for draft in drafts if draft.split not in empty]


def _shows_something(draft: Drawn) -> bool:
    return bool(draft.boxes or draft.doubts or draft.doubts_all)
