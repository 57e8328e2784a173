"""What COCO and LVIS share apart from the counting: undefined numbers, and confidence intervals."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np

from omnidet.evaluation import resampling
from omnidet.evaluation.truth import FREQUENCIES, Doubles, Truth


def split_undefined(values: Mapping[str, float]) -> tuple[dict[str, float], list[str]]:
    """The defined values, and the names of the undefined ones, for which there is no box to find.

    The official tools call these -1, which could be taken for a value, and JSON has no NaN.
    """
    defined = {name: float(value) for name, value in values.items() if value > -1}
    return defined, [name for name in values if name not in defined]


def intervals(
    values: Mapping[str, float],
    by_category: Mapping[str, float | None],
    resampled_BKT: Doubles,
    truth: Truth,
) -> dict[str, Any]:
    """Details: the intervals of AP and AP50, of each category and, for LVIS, of each frequency."""
    with warnings.catch_warnings():
        # The mean of nothing stays NaN, which means undefined.
        warnings.filterwarnings("ignore", "Mean of empty slice", RuntimeWarning)
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
