"""Two evaluations side by side: the numbers before, the numbers now, and the change."""

from __future__ import annotations

import math
from collections.abc import Mapping

from omnidet.evaluation.metric_names import is_lower_better
from omnidet.report.charts import number

LEAST_CHANGE = 0.0005
"""A smaller change does not show in three digits and is ignored."""


def rows(
    metrics: Mapping[str, float],
    before: Mapping[str, float] | None,
    zero_shot: Mapping[str, float] | None,
) -> list[dict[str, object]]:
    """One row for each number that is known twice; empty if there is nothing to compare.

    Each has `benchmark`, `name`, the texts `before`, `zero_shot`, `now` and `change`, and
    `verdict`: better, worse or same. `change` is from `before`, or from `zero_shot` if `before`
    lacks the number.
    """
    before, zero_shot = before or {}, zero_shot or {}
    found: list[dict[str, object]] = []
    for key, value in metrics.items():
        if key in before or key in zero_shot:
            benchmark, _, name = key.rpartition("/")
            change = value - before.get(key, zero_shot.get(key, math.nan))
            found.append(
                {
                    "benchmark": benchmark or "numbers",
                    "name": name,
                    "before": number(before[key]) if key in before else "",
                    "zero_shot": number(zero_shot[key]) if key in zero_shot else "",
                    "now": number(value),
                    "change": _signed(change),
                    "verdict": _verdict(name, change),
                }
            )
    return found


def _verdict(name: str, change: float) -> str:
    if not abs(change) >= LEAST_CHANGE:  # or if it is not a number
        return "same"
    return "better" if (change > 0) != is_lower_better(name) else "worse"


def _signed(change: float) -> str:
    if not math.isfinite(change):
        return "n/a"
    if abs(change) < LEAST_CHANGE:
        return "±0"
    return ("+" if change > 0 else "−") + (
        f"{abs(change):.3f}".removeprefix("0") if abs(change) < 1 else f"{abs(change):.4g}"
    )
