"""How often a detector finds things that are not there.

Asked for a name that people verified to be absent from an image, a detector should score below the
threshold at which it is used. That threshold is the one at which it finds half of the true boxes of
the same set, so detectors whose scores differ in scale can be compared. Names that nobody looked
for are not asked.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from omnidet.evaluation import resampling
from omnidet.evaluation.truth import Doubles
from omnidet.schema import Metrics

RECALL = 0.5
MIN_IOU = 0.5
PROTOCOL = (
    "false positives on verified-absent names: share of (image, absent name) pairs with any region "
    "at or above the score threshold at which half of the true boxes have a region of their name "
    "at IoU >= 0.5"
)


def evaluate(
    true_scores: Sequence[Sequence[float]], absent_scores: Sequence[Sequence[float]]
) -> Metrics:
    """The false-positive rate, and the threshold.

    Args:
        true_scores: for each image and each true box, the best score of its name on a region that
            meets the box; -1 if no region does.
        absent_scores: for each image and each absent name, the best score on any region.

    Raises:
        ValueError: if there is no true box or no absent name.
    """
    images = len(true_scores)
    true_N, absent_N = (
        np.array([s for own in part for s in own], np.float64)
        for part in (true_scores, absent_scores)
    )
    if not len(true_N) or not len(absent_N):
        what = "absent names" if len(true_N) else "true boxes"
        raise ValueError(
            f"the images have no {what}: evaluate a set that lists names verified absent, "
            "such as LVIS or COCO"
        )
    if not (np.isfinite(true_N).all() and np.isfinite(absent_N).all()):
        raise ValueError("a score is not finite: the model diverged, use an earlier checkpoint")
    true_image_N, absent_image_N = (
        np.repeat(np.arange(images), [len(own) for own in part])
        for part in (true_scores, absent_scores)
    )
    threshold = float(np.sort(true_N)[::-1][int(np.ceil(RECALL * len(true_N))) - 1])
    recall = float((true_N >= max(threshold, 0)).mean())
    counts = {"images": images, "true_boxes": len(true_N), "absent_names": len(absent_N)}
    if threshold < 0:  # no region meets half of the boxes
        details = {
            "counts": counts,
            "undefined": ["false_positive_rate", "threshold"],
            "recall": recall,
        }
        return Metrics("absent", PROTOCOL, {}, details)
    values = {"false_positive_rate": float((absent_N >= threshold).mean()), "threshold": threshold}
    rate_B = _resampled(true_N, true_image_N, absent_N, absent_image_N, images)
    intervals = resampling.describe(values, {"false_positive_rate": rate_B})
    return Metrics("absent", PROTOCOL, values, {"counts": counts, "recall": recall} | intervals)


def _resampled(
    true_N: Doubles,
    true_image_N: npt.NDArray[np.int64],
    absent_N: Doubles,
    absent_image_N: npt.NDArray[np.int64],
    images: int,
) -> Doubles:
    """The false-positive rate of each resample, at the threshold of that resample."""
    by_score = np.argsort(-true_N, kind="stable")
    absent_by_score = np.argsort(-absent_N, kind="stable")
    sorted_absent = -absent_N[absent_by_score]
    values = []
    for weights_I in resampling.draw(images):
        found = np.cumsum(weights_I[true_image_N[by_score]])
        false = np.r_[0, np.cumsum(weights_I[absent_image_N[absent_by_score]])]
        if found[-1] == 0 or false[-1] == 0:
            values.append(np.nan)
            continue
        threshold = true_N[by_score][np.searchsorted(found, RECALL * found[-1])]
        values.append(false[np.searchsorted(sorted_absent, -threshold, "right")] / false[-1])
    return np.array(values)
