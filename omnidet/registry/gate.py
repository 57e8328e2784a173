"""Whether a detector may follow the champion: its Metrics against the champion's.

    candidate's metrics + champion's metrics + what chance explains + GateConfig -> Decision

Nothing passes for lack of a number: a metric that is missing, not finite or not a share fails. A
drop that chance explains on so many images does not count. Of a metric that is better when it
falls, such as `absent/false_positive_rate`, a rise is the drop, and a minimum the most that passes.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from omnidet.evaluation.metric_names import HEADLINES, is_headline, is_lower_better

Range = tuple[float, float]
_ROUNDING = 1e-9


@dataclass(frozen=True)
class GateConfig:
    """What a detector must reach to be registered."""

    max_drop: float = 0.02
    """How far a metric may fall below the champion's, beyond what chance explains; if negative, it
    must rise by as much."""
    drops: tuple[str, ...] = ()
    """Other allowed drops of a benchmark or metric, such as `lvis=0.05` or `lvis/AP=0.05`."""
    minimum: tuple[str, ...] = ()
    """What must be reached whatever the champion has, such as `coco/AP50=0.3`; of what is better
    when it falls, the most that passes, such as `absent/false_positive_rate=0.1`."""
    metrics: tuple[str, ...] = ()
    """Metrics to compare; empty compares the champion's headlines (AP, AIGT, R@1)."""

    def __post_init__(self) -> None:
        if not math.isfinite(self.max_drop):
            raise ValueError(f"gate.max_drop is {self.max_drop}: give a number such as 0.02")
        self.floors()
        _numbers("drops", self.drops, "lvis=0.05")

    def floors(self) -> dict[str, float]:
        """`minimum` by metric. Raises ValueError for anything but metric=number."""
        return _numbers("minimum", self.minimum, "coco/AP50=0.3")

    def allowed_drop(self, metric: str) -> float:
        """How far this metric may fall: by its entry in `drops`, its benchmark's, or `max_drop`."""
        drops = _numbers("drops", self.drops, "lvis=0.05")
        return drops.get(metric, drops.get(metric.partition("/")[0], self.max_drop))


@dataclass(frozen=True)
class Comparison:
    """One metric in the decision."""

    metric: str
    champion: float | None
    candidate: float | None
    difference: float | None
    """Candidate less champion; None if one of them is missing or not finite."""
    allowed: float | None
    """The least value that passes, or the greatest of what is better when it falls; None if any
    number does."""
    ok: bool
    by_chance: bool = False
    """Whether it is lower than allowed, but not beyond what chance explains."""


@dataclass(frozen=True)
class Decision:
    """Whether the candidate passed, and why not."""

    passed: bool
    reasons: tuple[str, ...]
    """One for each thing that failed; empty if it passed."""
    rows: tuple[Comparison, ...]

    def excused(self) -> list[str]:
        """A line for each number that fell further than allowed, and passed all the same."""
        return [
            f"{row.metric} {'rose' if is_lower_better(row.metric) else 'fell'} from "
            f"{row.champion:.3f} to {row.candidate:.3f}, more than is allowed: on so few pictures "
            "chance explains it"
            for row in self.rows
            if row.by_chance
        ]

    def describe(self) -> dict[str, Any]:
        """Plain data for a JSON file; None replaces what is not finite, which the reasons name."""
        content = dataclasses.asdict(self)
        for row in content["rows"]:
            row.update(
                {k: None for k, v in row.items() if isinstance(v, float) and not math.isfinite(v)}
            )
        return content


def decide(
    candidate: Mapping[str, float],
    champion: Mapping[str, float] | None,
    config: GateConfig,
    chance: Mapping[str, Range] | None = None,
) -> Decision:
    """Compare with the champion's metrics and the minimums.

    Args:
        champion: None for the first version: then only the minimums count.
        chance: by metric, the numbers that do not differ from the candidate's beyond chance. A
            champion's number among them is not a drop. It excuses neither a minimum that is missed
            nor a rise that is asked for.
    """
    chance = chance or {}
    floors = config.floors()
    headlines = filter(is_headline, candidate if champion is None else champion)
    compared = config.metrics or tuple(headlines)
    reasons, rows = [], []
    if champion is not None and not any(name in champion for name in compared):
        wanted, has = ", ".join(compared or HEADLINES), ", ".join(champion) or "no metrics"
        reasons.append(f"nothing to compare: the champion has no {wanted} (it has {has})")
    if champion is None and not compared and not floors:
        wanted, has = ", ".join(HEADLINES), ", ".join(candidate) or "no metrics"
        reasons.append(f"nothing to judge: the candidate has no {wanted} (it has {has})")
    for name in dict.fromkeys((*compared, *floors)):
        before = champion.get(name) if champion is not None and name in compared else None
        drop = config.allowed_drop(name)
        explained = chance.get(name) if drop >= 0 else None
        row = _compare(name, before, candidate.get(name), drop, floors.get(name), explained)
        rows.append(row)
        if not row.ok:
            reasons.append(_reason(row, drop, floors.get(name), explained))
    return Decision(not reasons, tuple(reasons), tuple(rows))


def _numbers(field: str, items: tuple[str, ...], example: str) -> dict[str, float]:
    numbers = {}
    for item in items:
        name, _, text = item.rpartition("=")
        try:
            numbers[name] = float(text)
        except ValueError:
            numbers[name] = math.nan
        if not name or not math.isfinite(numbers[name]):
            raise ValueError(
                f"gate.{field} {item!r} is not of the form metric=number: give one like {example}"
            )
    return numbers


def _compare(
    name: str,
    before: float | None,
    value: float | None,
    drop: float,
    floor: float | None,
    explained: Range | None,
) -> Comparison:
    difference = None
    if value is not None and before is not None and math.isfinite(value - before):
        difference = value - before
    sign = -1 if is_lower_better(name) else 1
    limit = None if before is None else before - sign * drop
    limits = [each for each in (limit, floor) if each is not None]
    allowed = max(limits, key=lambda each: sign * each) if limits else None
    are_sound = value is not None and all(_is_sound(name, each) for each in (value, before or 0))
    # Compared with each limit: the max() of a list with NaN depends on its order.
    low = [each for each in limits if value is None or not sign * (value - each) >= -_ROUNDING]
    by_chance = (
        are_sound
        and low == [limit]
        and limit != floor
        and before is not None
        and explained is not None
        and explained[0] <= before <= explained[1]
    )
    return Comparison(
        name, before, value, difference, allowed, are_sound and (not low or by_chance), by_chance
    )


def _is_sound(name: str, value: float) -> bool:
    """Whether a measurement can give it: a headline is a share."""
    return 0 <= value <= 1 if is_headline(name) else math.isfinite(value)


def _reason(
    row: Comparison, allowed_drop: float, floor: float | None, explained: Range | None
) -> str:
    if row.candidate is None:
        return f"{row.metric}: the candidate lacks it"
    if not _is_sound(row.metric, row.candidate):
        return f"{row.metric}: the candidate's is {row.candidate}: evaluate it again"
    if row.champion is not None and not _is_sound(row.metric, row.champion):
        return f"{row.metric}: the champion's is {row.champion}: promote a sound version"
    is_lower = is_lower_better(row.metric)
    if floor is not None and (-1 if is_lower else 1) * (row.candidate - floor) < -_ROUNDING:
        which = "above the maximum" if is_lower else "below the minimum"
        return f"{row.metric}: {row.candidate:.4f} is {which} of {floor:.4f}"
    reason = (
        f"{row.metric}: {row.candidate:.4f} against the champion's {row.champion:.4f}, "
        f"a {'rise' if is_lower else 'drop'} of {allowed_drop + 0.0:g} is allowed"  # no "-0"
    )
    beyond = f", and chance explains one from {explained[not is_lower]:.4f}" if explained else ""
    return f"{reason}{beyond}"
