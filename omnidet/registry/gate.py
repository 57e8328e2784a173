"""Whether a detector may follow the champion: its Metrics against those of the champion.

    candidate's metrics + champion's metrics + GateConfig -> Decision

Nothing passes for want of a number: a metric that the candidate lacks, or that is not finite, fails.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from omnidet.evaluation.metric_names import HEADLINES, is_headline

_ROUNDING = 1e-9


@dataclass(frozen=True)
class GateConfig:
    """What a detector must reach to be registered."""

    max_drop: float = 0.02
    """How far a metric may be below the champion's; below 0 it must be above by so much."""
    drops: tuple[str, ...] = ()
    """Other allowed drops for single benchmarks or metrics, as `lvis=0.05` or `lvis/AP=0.05`."""
    minimum: tuple[str, ...] = ()
    """What must be reached whatever the champion has, as `coco/AP50=0.3`."""
    metrics: tuple[str, ...] = ()
    """Metrics that are compared; the champion's headlines (AP, AIGT, R@1 of each benchmark) where none is named."""

    def __post_init__(self) -> None:
        if not math.isfinite(self.max_drop):
            raise ValueError(f"gate.max_drop is {self.max_drop}: give a number, as 0.02")
        self.floors()
        _numbers("drops", self.drops, "lvis=0.05")

    def floors(self) -> dict[str, float]:
        """`minimum` by metric. Raises ValueError for what is not of the form metric=number."""
        return _numbers("minimum", self.minimum, "coco/AP50=0.3")

    def allowed_drop(self, metric: str) -> float:
        """How far this metric may fall: its own entry in `drops`, else its benchmark's, else `max_drop`."""
        drops = _numbers("drops", self.drops, "lvis=0.05")
        return drops.get(metric, drops.get(metric.partition("/")[0], self.max_drop))


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
                f"gate.{field} {item!r} is not of the form metric=number, as {example}"
            )
    return numbers


@dataclass(frozen=True)
class Row:
    """One metric in the decision."""

    metric: str
    champion: float | None
    candidate: float | None
    difference: float | None
    """Candidate less champion; None where one of them is missing or not finite."""
    allowed: float | None
    """The least value that passes; None where any number does."""
    ok: bool


@dataclass(frozen=True)
class Decision:
    """Whether the candidate passed, and why not."""

    passed: bool
    reasons: tuple[str, ...]
    """One for each thing that failed; empty if it passed."""
    rows: tuple[Row, ...]

    def describe(self) -> dict[str, Any]:
        """Plain data for a JSON file: what is not finite becomes None, the reasons name it."""
        content = dataclasses.asdict(self)
        for row in content["rows"]:
            row.update(
                {k: None for k, v in row.items() if isinstance(v, float) and not math.isfinite(v)}
            )
        return content


def decide(
    candidate: Mapping[str, float], champion: Mapping[str, float] | None, config: GateConfig
) -> Decision:
    """Compare with the champion's metrics and the minimums; without a champion (None), with the minimums."""
    floors = config.floors()
    compared = config.metrics or tuple(
        name for name in (candidate if champion is None else champion) if is_headline(name)
    )
    reasons, rows = [], []
    if champion is not None and not any(name in champion for name in compared):
        wanted = ", ".join(compared or HEADLINES)
        reasons.append(
            f"nothing to compare: the champion has no {wanted} (it has {', '.join(champion) or 'no metrics'})"
        )
    if champion is None and not compared and not floors:
        reasons.append(
            f"nothing to judge: the candidate has no {', '.join(HEADLINES)} (it has {', '.join(candidate) or 'no metrics'})"
        )
    for name in dict.fromkeys((*compared, *floors)):
        before = champion.get(name) if champion is not None and name in compared else None
        limits = [] if before is None else [before - config.allowed_drop(name)]
        limits += [floors[name]] if name in floors else []
        row = _row(name, before, candidate.get(name), limits)
        rows.append(row)
        if not row.ok:
            reasons.append(_reason(row, config.allowed_drop(name), floors.get(name)))
    return Decision(not reasons, tuple(reasons), tuple(rows))


def _row(name: str, before: float | None, value: float | None, limits: list[float]) -> Row:
    known = [v for v in (before, value) if v is not None and math.isfinite(v)]
    difference = (
        value - before if value is not None and before is not None and len(known) == 2 else None
    )
    finite = (
        value is not None and math.isfinite(value) and (before is None or math.isfinite(before))
    )
    # Each limit for itself: max() of a list with NaN depends on the order.
    ok = finite and all(value is not None and value >= limit - _ROUNDING for limit in limits)
    return Row(name, before, value, difference, max(limits) if limits else None, ok)


def _reason(row: Row, allowed_drop: float, floor: float | None) -> str:
    if row.candidate is None:
        return f"{row.metric}: the candidate has none"
    if not math.isfinite(row.candidate):
        return f"{row.metric}: the candidate's is {row.candidate}"
    if row.champion is not None and not math.isfinite(row.champion):
        return f"{row.metric}: the champion's is {row.champion}: promote a sound version"
    if floor is not None and row.candidate < floor - _ROUNDING:
        return f"{row.metric}: {row.candidate:.4f} is below the minimum of {floor:.4f}"
    return f"{row.metric}: {row.candidate:.4f} against the champion's {row.champion:.4f}, a drop of {allowed_drop:g} is allowed"
