"""What became of a folder's pictures, annotations and boxes: read = kept + left out by reason."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Kind = Literal["pictures", "annotations", "boxes"]
KINDS: tuple[Kind, ...] = ("pictures", "annotations", "boxes")


@dataclass
class LeftOut:
    """Things of one kind that were left out for the same reason."""

    count: int
    first: str
    """Where the first of them is, for people."""
    is_loss: bool
    """Whether something is not known because of it: a box that comes twice is known."""


@dataclass
class Tally:
    """Things of one kind."""

    read: int = 0
    kept: int = 0
    left_out: dict[str, LeftOut] = field(default_factory=dict)
    """By reason."""

    @property
    def lost(self) -> int:
        """How many were left out that are known nowhere else."""
        return sum(left.count for left in self.left_out.values() if left.is_loss)


class Account:
    """Filled while a folder is read; printed, and stored with what was read."""

    def __init__(self) -> None:
        self.tallies: dict[Kind, Tally] = {kind: Tally() for kind in KINDS}
        self.notes: list[str] = []
        """What else people should know: names that were changed, files that were not read."""

    def keep(self, kind: Kind, count: int = 1) -> None:
        """Count what is kept."""
        self.tallies[kind].read += count
        self.tallies[kind].kept += count

    def leave(
        self, kind: Kind, reason: str, first: str, count: int = 1, is_loss: bool = True
    ) -> None:
        """Count what is left out, and remember where the first of its reason was."""
        if not count:
            return
        tally = self.tallies[kind]
        tally.read += count
        known = tally.left_out.setdefault(reason, LeftOut(0, first, is_loss))
        known.count += count

    def take_back(self, kind: Kind, reason: str, first: str, is_loss: bool = True) -> None:
        """Leave out one that was counted as kept."""
        tally = self.tallies[kind]
        tally.read -= 1
        tally.kept -= 1
        self.leave(kind, reason, first, is_loss=is_loss)

    def lines(self) -> list[str]:
        """For people."""
        said = []
        for kind, tally in self.tallies.items():
            left = tally.read - tally.kept
            said.append(f"  read {tally.read} {kind}: {tally.kept} kept, {left} left out")
            said += [
                f"    left out: {out.count} x {reason} (first: {out.first})"
                for reason, out in sorted(tally.left_out.items(), key=lambda item: -item[1].count)
            ]
        return said + [f"  {note}" for note in self.notes]

    def require_share(
        self, max_lost: float, root: str, remedies: Mapping[str, str] | None = None
    ) -> None:
        """Raise ValueError where more than a share of the boxes is lost.

        Args:
            remedies: by reason, where another one than to mend the boxes is known.
        """
        boxes = self.tallies["boxes"]
        if boxes.lost <= max_lost * boxes.read:
            return
        lost = {reason: out.count for reason, out in boxes.left_out.items() if out.is_loss}
        remedy = (remedies or {}).get(max(lost, key=lost.__getitem__), "mend them")
        raise ValueError(
            f"{root}: {boxes.lost} of {boxes.read} boxes cannot be used, more than the share "
            f"{max_lost:g} that may be "
            f"lost: {self.reasons()}; {remedy}, or allow it with --set "
            f"retrain.reading.max_lost={_enough(boxes):g}"
        )

    def reasons(self, kind: Kind = "boxes", num_reasons: int = 3) -> str:
        """Why things of a kind are lost, and where the first of each reason is."""
        lost = [item for item in self.tallies[kind].left_out.items() if item[1].is_loss]
        lost.sort(key=lambda item: -item[1].count)
        said = [f"{out.count} x {reason} ({out.first})" for reason, out in lost[:num_reasons]]
        more = len(lost) - num_reasons
        return "; ".join(said) + (f"; and {more} more reasons" if more > 0 else "")

    def describe(self) -> dict[str, Any]:
        """For JSON."""
        counts: dict[str, Any] = {
            kind: {
                "read": tally.read,
                "kept": tally.kept,
                "left_out": {
                    reason: {"count": out.count, "first": out.first, "is_loss": out.is_loss}
                    for reason, out in tally.left_out.items()
                },
            }
            for kind, tally in self.tallies.items()
        }
        return counts | {"notes": self.notes}

    @classmethod
    def parse(cls, content: Mapping[str, Any]) -> Account:
        """The inverse of `describe`."""
        made = cls()
        made.notes = list(content["notes"])
        for kind in KINDS:
            counts = content[kind]
            left = {reason: LeftOut(**out) for reason, out in counts["left_out"].items()}
            made.tallies[kind] = Tally(counts["read"], counts["kept"], left)
        return made


def _enough(boxes: Tally) -> float:
    """The lost share, rounded up to percents."""
    return min(-(-100 * boxes.lost // boxes.read) / 100, 1.0)
