"""How far a number may be off by the luck of the images: bootstrap confidence intervals.

The images of the evaluation set are drawn anew with replacement (Efron, 1979), each time as many as there are, and the
number is computed on them from what was judged before. The draws depend on the number of images alone: two detectors on the
same images are judged on the same draws, so that their difference has an interval of its own, narrower than either.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

RESAMPLES = 200
LEVEL = 0.95
_SEED = 0
Doubles = npt.NDArray[np.float64]


def draw(num_images: int, resamples: int = RESAMPLES) -> Doubles:
    """(B, I): how often each image counts in each resample."""
    generator = np.random.default_rng([_SEED, num_images])
    return generator.multinomial(num_images, np.full(num_images, 1 / num_images), resamples).astype(
        np.float64
    )


def interval(
    value: float, values_B: Doubles, least: float = 0.0, greatest: float = 1.0
) -> list[float] | None:
    """Lower and upper end of the middle share LEVEL of the resamples, moved so that their mean is the value.

    Average precision of categories with few boxes is higher on resamples than on all images, so the mean has to be taken off.
    None where nothing is defined.
    """
    defined = values_B[np.isfinite(values_B)]
    if not defined.size:
        return None
    ends = np.percentile(defined, [50 * (1 - LEVEL), 50 * (1 + LEVEL)]) - defined.mean() + value
    return [round(min(max(float(end), least), greatest), 6) for end in ends]


def describe(values: Mapping[str, float], resampled: Mapping[str, Doubles]) -> dict[str, Any]:
    """For `Metrics.details`: intervals by metric, and the resampled values, for the difference of two evaluations."""
    defined = {
        name: values_B
        for name, values_B in resampled.items()
        if name in values and np.isfinite(values_B).any()
    }
    return {
        "intervals": {name: interval(values[name], values_B) for name, values_B in defined.items()},
        "resamples": {
            name: [round(float(v), 6) if np.isfinite(v) else None for v in values_B]
            for name, values_B in defined.items()
        },
        "interval_protocol": f"{LEVEL:.0%} bootstrap over images, {RESAMPLES} resamples, centred",
    }


def share(hits: Sequence[bool] | npt.NDArray[np.bool_], images: Sequence[str]) -> Doubles:
    """(B,) resampled shares of hits, each hit belonging to an image; NaN where none of the images was drawn."""
    names, place = np.unique(np.array(images), return_inverse=True)
    return share_of(np.asarray(hits, np.bool_), place, len(names))


def share_of(hits: npt.NDArray[np.bool_], image: npt.NDArray[np.int64], num_images: int) -> Doubles:
    """As `share`, with images by number."""
    weights_BI = draw(num_images)
    counts = np.bincount(image, minlength=num_images).astype(np.float64)
    with np.errstate(invalid="ignore"):
        resampled: Doubles = (weights_BI @ np.bincount(image, hits, num_images)) / (
            weights_BI @ counts
        )
    return resampled
