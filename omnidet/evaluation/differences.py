"""Two evaluations compared: every number, the difference, and whether chance could explain it."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from omnidet.evaluation import resampling
from omnidet.evaluation.metric_names import is_lower_better
from omnidet.evaluation.stored import Stored

NO_QUALITY = ("threshold",)
"""Metrics for which neither direction is better."""
_ROUNDING = 1e-9

Interval = list[float] | None


@dataclass(frozen=True)
class MetricChange:
    """One metric in both evaluations; None for what an evaluation lacks."""

    metric: str
    before: float | None
    after: float | None
    before_interval: Interval
    after_interval: Interval
    difference: float | None
    """After minus before."""
    difference_interval: Interval
    """If both evaluated the same images: on the same draws of them, so narrower than either's."""
    verdict: str
    """"better", "worse", "within chance", "same", or "" if it is unknown."""


@dataclass(frozen=True)
class Comparison:
    """All numbers of two evaluations."""

    rows: tuple[MetricChange, ...]
    categories: Mapping[str, tuple[MetricChange, ...]]
    """The categories that both have, for each benchmark, the greatest loss first."""
    notes: tuple[str, ...]
    """What makes the numbers hard to compare."""

    def describe(self) -> dict[str, Any]:
        """Plain data."""
        return dataclasses.asdict(self)


def compare(before: Stored, after: Stored, same_images: bool) -> Comparison:
    """Compare two evaluations.

    Args:
        same_images: whether both evaluated the very same sets, so that their resamples are paired.
            Without it, those are whose hashes are the same.
    """
    names = dict.fromkeys((*before.values, *after.values))
    shared = [name for name in before.details if name in after.details]
    paired = {
        name
        for name in shared
        if same_images or before.sets.get(name, "") == after.sets.get(name) != ""
    }
    rows = tuple(_row(name, before, after, _owner(before, name) in paired) for name in names)
    categories = {name: _categories(before.details[name], after.details[name]) for name in shared}
    notes = [
        f"{name}: different protocols: {before.protocols[name]!r} and {after.protocols[name]!r}"
        for name in before.protocols
        if name in after.protocols and before.protocols[name] != after.protocols[name]
    ]
    for name in shared:
        old, new = (part.details[name].get("counts", {}) for part in (before, after))
        notes += [
            f"{name}: {old.get(key)} {key} against {new.get(key)}"
            for key in ("images", "annotations", "expressions", "phrases")
            if old.get(key) != new.get(key)
        ]
    apart = [name for name in shared if name not in paired]
    if apart:
        notes.append(
            f"{', '.join(apart)}: the evaluation sets differ or are unknown: differences are "
            "computed as for independent images"
        )
    return Comparison(rows, {name: own for name, own in categories.items() if own}, tuple(notes))


def violations(
    comparison: Comparison, metrics: Sequence[str], max_drop: float | None, min_gain: float | None
) -> list[str]:
    """A reason for each metric that drops by more than `max_drop` or gains less than `min_gain`."""
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
        gain = -row.difference if is_lower_better(name) else row.difference
        change = f"{name}: {row.before:.4f} -> {row.after:.4f}"
        # A number that is not finite fails both conditions.
        if max_drop is not None and not gain >= -max_drop - _ROUNDING:
            reasons.append(f"{change}, a drop of {-gain:.4f}: {max_drop:g} is allowed")
        if min_gain is not None and not gain >= min_gain - _ROUNDING:
            reasons.append(f"{change}, a gain of {gain:.4f}: {min_gain:g} is required")
    return reasons


def _row(name: str, before: Stored, after: Stored, same_images: bool) -> MetricChange:
    old, new = before.values.get(name), after.values.get(name)
    old_interval, new_interval = (detail(part, name, "intervals") for part in (before, after))
    difference = new - old if old is not None and new is not None else None
    interval = None
    draws = [detail(part, name, "resamples") or [] for part in (before, after)]
    is_paired = bool(draws[0]) and len(draws[0]) == len(draws[1])
    if difference is not None and math.isfinite(difference) and is_paired:
        first, second = (
            np.array([math.nan if v is None else v for v in draw], np.float64) for draw in draws
        )
        # Draws of different images are unrelated; reversing one makes these unrelated, too.
        apart = second - first if same_images else second[::-1] - first
        interval = resampling.interval(difference, apart, least=-1.0)
    return MetricChange(
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
    return "better" if (difference > 0) != is_lower_better(name) else "worse"


def detail(part: Stored, name: str, field: str) -> Any:
    """A field of the details of a metric; those of `refcocog/AIGT_unseen` are `AIGT` of
    `refcocog_unseen`."""
    return _found(part, name, field)[1]


def _owner(part: Stored, name: str) -> str:
    """The entry of the details that has a metric's resamples; empty without one."""
    return _found(part, name, "resamples")[0]


def _found(part: Stored, name: str, field: str) -> tuple[str, Any]:
    benchmark, _, metric = name.partition("/")
    for key, details in part.details.items():
        suffix = key[len(benchmark) :]
        if key.startswith(benchmark) and isinstance(details, Mapping) and metric.endswith(suffix):
            found = details.get(field, {}).get(metric.removesuffix(suffix) if suffix else metric)
            if found is not None:
                return key, found
    return "", None


def _categories(before: Mapping[str, Any], after: Mapping[str, Any]) -> tuple[MetricChange, ...]:
    values = [part.get("per_category_AP", {}) for part in (before, after)]
    intervals = [part.get("per_category_interval", {}) for part in (before, after)]
    rows = []
    for name in values[0]:
        first, second = values[0][name], values[1].get(name)
        if first is not None and second is not None:
            old_interval, new_interval = (part.get(name) for part in intervals)
            rows.append(
                MetricChange(
                    name, first, second, old_interval, new_interval, second - first, None, ""
                )
            )
    return tuple(sorted(rows, key=lambda row: (row.difference or 0.0, row.metric)))
