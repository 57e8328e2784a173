"""How far a number may be off by chance: bootstrap confidence intervals over the images.

Each resample draws as many images as the evaluation set has, with replacement (Efron, 1979), and
the number is computed on them from what was judged before. The draws depend on the number of images
alone: two detectors on the same images have the same draws, so their difference has an interval of
its own, narrower than either.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from omnidet.evaluation.truth import Doubles

RESAMPLES = 200
LEVEL = 0.95
_SEED = 0


def draw(num_images: int, resamples: int = RESAMPLES) -> Doubles:
    """How often each image counts in each resample, (B, I)."""
    generator = np.random.default_rng([_SEED, num_images])
    return generator.multinomial(num_images, np.full(num_images, 1 / num_images), resamples).astype(
        np.float64
    )


def interval(
    value: float, values_B: Doubles, least: float = 0.0, greatest: float = 1.0
) -> list[float] | None:
    """The ends of the middle `LEVEL` of the resamples, shifted so that their mean is the value.

    AP of categories with few boxes is higher on resamples than on all images; the shift corrects
    that bias. None if no resample is defined.
    """
    defined = values_B[np.isfinite(values_B)]
    if not defined.size:
        return None
    ends = np.percentile(defined, [50 * (1 - LEVEL), 50 * (1 + LEVEL)]) - defined.mean() + value
    return [round(min(max(float(end), least), greatest), 6) for end in ends]


def describe(values: Mapping[str, float], resampled: Mapping[str, Doubles]) -> dict[str, Any]:
    """The intervals of metrics, and their resampled values, for the difference of two evaluations.

    These are fields of `Metrics.details`.
    """
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


def share(
    hits: Sequence[bool] | npt.NDArray[np.bool_], images: Sequence[str] | npt.NDArray[np.str_]
) -> Doubles:
    """The share of hits in each resample (B,); NaN if none of their images was drawn.

    Args:
        images: the image that each hit or miss belongs to.
    """
    names, image = np.unique(np.array(images), return_inverse=True)
    weights_BI = draw(len(names))
    hits_I = np.bincount(image, np.asarray(hits, np.bool_), len(names))
    counts_I = np.bincount(image, minlength=len(names)).astype(np.float64)
    with np.errstate(invalid="ignore"):
        resampled: Doubles = (weights_BI @ hits_I) / (weights_BI @ counts_I)
    return resampled
