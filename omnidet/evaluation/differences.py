"""Two evaluations side by side: every number, how far they are apart, and whether that may be the luck of the images."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from omnidet.evaluation import resampling
from omnidet.evaluation.stored import Stored

LOWER_IS_BETTER = ("false_positive_rate",)
NO_QUALITY = ("threshold",)
"""Metrics of which neither direction is better."""
_ROUNDING = 1e-9

Interval = list[float] | None


@dataclass(frozen=True)
class Row:
    """One number of both evaluations; what one of them lacks is None."""

    metric: str
    before: float | None
    after: float | None
    before_interval: Interval
    after_interval: Interval
    difference: float | None
    """After less before."""
    difference_interval: Interval
    """On the same draws of images where both judged the same set, and so narrower than either."""
    verdict: str
    """better, worse, "within chance", "same", or "" where it cannot be said."""


@dataclass(frozen=True)
class Comparison:
    """All numbers of two evaluations."""

    rows: tuple[Row, ...]
    categories: Mapping[str, tuple[Row, ...]]
    """For each benchmark with categories, those that both have, the greatest loss first."""
    notes: tuple[str, ...]
    """What makes numbers hard to compare."""

    def describe(self) -> dict[str, Any]:
        """Plain data."""
        return dataclasses.asdict(self)


def compare(before: Stored, after: Stored, same_images: bool) -> Comparison:
    """Compare.

    Args:
        same_images: whether both judged the very same sets, so that their resamples belong together.
    """
    names = dict.fromkeys((*before.values, *after.values))
    rows = tuple(_row(name, before, after, same_images) for name in names)
    shared = [name for name in before.details if name in after.details]
    categories = {name: _categories(before.details[name], after.details[name]) for name in shared}
    notes = [
        f"{name}: other protocols: {before.protocols[name]!r} and {after.protocols[name]!r}"
        for name in before.protocols
        if name in after.protocols and before.protocols[name] != after.protocols[name]
    ]
    for name in shared:
        counts = [part.details[name].get("counts", {}) for part in (before, after)]
        changed = [
            key
            for key in ("images", "annotations", "expressions", "phrases")
            if counts[0].get(key) != counts[1].get(key)
        ]
        notes += [
            f"{name}: {counts[0].get(key)} {key} against {counts[1].get(key)}" for key in changed
        ]
    if not same_images:
        notes.append(
            "the data are of another version, or it is not known: differences are taken as of independent images"
        )
    return Comparison(rows, {name: own for name, own in categories.items() if own}, tuple(notes))


def violations(
    comparison: Comparison, metrics: Sequence[str], max_drop: float | None, min_gain: float | None
) -> list[str]:
    """One reason for each of the metrics that fell by more than `max_drop`, or rose by less than `min_gain`."""
    by_name = {row.metric: row for row in comparison.rows}
    reasons = []
    for name in metrics:
        row = by_name.get(name)
        if row is None or row.difference is None:
            lacking = "both" if row is None else "the first" if row.before is None else "the second"
            reasons.append(
                f"{name}: {lacking} evaluation{'s lack' if row is None else ' lacks'} it"
            )
            continue
        gain = -row.difference if _is_lower_better(name) else row.difference
        told = f"{name}: {row.before:.4f} -> {row.after:.4f}"
        # Written so that a number that is not finite fails.
        if max_drop is not None and not gain >= -max_drop - _ROUNDING:
            reasons.append(f"{told}, a drop of {-gain:.4f}: {max_drop:g} is allowed")
        if min_gain is not None and not gain >= min_gain - _ROUNDING:
            reasons.append(f"{told}, a gain of {gain:.4f}: {min_gain:g} is asked for")
    return reasons


def _row(name: str, before: Stored, after: Stored, same_images: bool) -> Row:
    old, new = before.values.get(name), after.values.get(name)
    old_interval, new_interval = (_detail(part, name, "intervals") for part in (before, after))
    difference = new - old if old is not None and new is not None else None
    interval = None
    draws = [_detail(part, name, "resamples") for part in (before, after)]
    if (
        difference is not None
        and math.isfinite(difference)
        and all(draws)
        and len(draws[0]) == len(draws[1])
    ):
        first, second = (
            np.array([math.nan if v is None else v for v in draw], np.float64) for draw in draws
        )
        # Draws of other images have nothing to do with one another: neither have these in another order.
        apart = second - first if same_images else second[::-1] - first
        interval = resampling.interval(difference, apart, least=-1.0)
    return Row(
        name,
        old,
        new,
        old_interval,
        new_interval,
        difference,
        interval,
        _verdict(name, difference, interval),
    )


def _verdict(name: str, difference: float | None, interval: Interval) -> str:
    if difference is None or name.rpartition("/")[2].startswith(NO_QUALITY):
        return ""
    if difference == 0:
        return "same"
    if interval is None:
        return ""
    if interval[0] <= 0 <= interval[1]:
        return "within chance"
    return "better" if (difference > 0) != _is_lower_better(name) else "worse"


def _is_lower_better(name: str) -> bool:
    return name.rpartition("/")[2].startswith(LOWER_IS_BETTER)


def _detail(part: Stored, name: str, field: str) -> Any:
    """What the details say of a metric such as `refcocog/AIGT_unseen`, which stands under `refcocog_unseen`, `AIGT`."""
    benchmark, _, metric = name.partition("/")
    for key, details in part.details.items():
        suffix = key[len(benchmark) :]
        if key.startswith(benchmark) and isinstance(details, Mapping) and metric.endswith(suffix):
            found = details.get(field, {}).get(metric.removesuffix(suffix) if suffix else metric)
            if found is not None:
                return found
    return None


def _categories(before: Mapping[str, Any], after: Mapping[str, Any]) -> tuple[Row, ...]:
    values = [part.get("per_category_AP", {}) for part in (before, after)]
    intervals = [part.get("per_category_interval", {}) for part in (before, after)]
    rows = []
    for name in values[0]:
        first, second = values[0][name], values[1].get(name)
        if first is not None and second is not None:
            old_interval, new_interval = (part.get(name) for part in intervals)
            rows.append(
                Row(name, first, second, old_interval, new_interval, second - first, None, "")
            )
    return tuple(sorted(rows, key=lambda row: (row.difference or 0.0, row.metric)))
