"""What COCO and LVIS share beside the counting: numbers that are not defined, and the intervals of those that are."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np

from omnidet.evaluation import resampling
from omnidet.evaluation.truth import FREQUENCIES, Doubles, Truth


def split_undefined(values: Mapping[str, float]) -> tuple[dict[str, float], list[str]]:
    """The defined values, and the names of those without a box to find: the tools' -1 is no share, and JSON has no NaN."""
    return {k: float(v) for k, v in values.items() if v > -1}, [
        k for k, v in values.items() if v <= -1
    ]


def intervals(
    values: Mapping[str, float],
    by_category: Mapping[str, float | None],
    resampled_BKT: Doubles,
    truth: Truth,
) -> dict[str, Any]:
    """Details with the intervals of AP, AP50, those of each category and, for LVIS, of each frequency."""
    with warnings.catch_warnings():
        warnings.filterwarnings(
            "ignore", "Mean of empty slice", RuntimeWarning
        )  # stays NaN: not defined
        by_category_BK = resampled_BKT.mean(2)
        headlines = {
            "AP": np.nanmean(by_category_BK, 1),
            "AP50": np.nanmean(resampled_BKT[..., 0], 1),
        }
        frequencies = np.array(truth.frequencies)
        for frequency in FREQUENCIES if truth.frequencies else ():
            headlines[f"AP{frequency}"] = np.nanmean(by_category_BK[:, frequencies == frequency], 1)
    columns = zip(by_category.items(), by_category_BK.T, strict=True)
    return resampling.describe(values, headlines) | {
        "per_category_interval": {
            name: None if value is None else resampling.interval(value, values_B)
            for (name, value), values_B in columns
        }
    }
