"""LVIS average precision of boxes, v0.5 and v1, equal to that of the official `lvis` package.

Protocol: Gupta et al., LVIS, CVPR 2019. The annotation is federated: a detection counts only if its
category is known to be present or absent in the image. A category is rare, common or frequent by
the number of training images that show it. Fixed AP: Dave et al., Evaluating Large-Vocabulary
Object Detectors: The Devil is in the Details, 2021.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from omnidet.evaluation import resampling
from omnidet.evaluation.average_precision import Curves, accumulate, resampled
from omnidet.evaluation.category_metrics import intervals as intervals_of
from omnidet.evaluation.category_metrics import split_undefined
from omnidet.evaluation.detections import DetectionColumns, collect
from omnidet.evaluation.judging import judge
from omnidet.evaluation.truth import FREQUENCIES, Truth, read
from omnidet.schema import Metrics

PROTOCOLS = ("standard", "fixed")
MAX_DETECTIONS = 300
"""How many of an image count in the standard protocol."""
MAX_OF_CATEGORY = 10_000
"""How many of a category count in the fixed protocol, over all images."""


def evaluate(
    ground_truth: str | Path,
    detections: Iterable[Mapping[str, Any]],
    max_detections: int = MAX_DETECTIONS,
    protocol: str = "standard",
    only_images: Collection[int] | None = None,
    intervals: bool = True,
) -> Metrics:
    """Average precision, also of the rare, common and frequent categories, and recall.

    Args:
        ground_truth: LVIS annotation file, v0.5 or v1, local or `s3://`.
        detections: any number of boxes, best without a score threshold. Without any, every number
            is 0.
        max_detections: how many of an image count in the standard protocol: those of the highest
            score. The official value is 300.
        protocol: `standard`, or `fixed`: the 10,000 best of each category over all images count.
            Then ask the detector for 1,000 an image, or categories are starved.
        only_images: ids of the images to evaluate, such as those of minival; other detections are
            left out.
        intervals: whether to resample images for confidence intervals.

    Raises:
        ValueError: if a detection cannot be counted; it is named by its index.
    """
    if max_detections < 1:
        raise ValueError(
            f"max_detections={max_detections} is below 1: the official value is {MAX_DETECTIONS}"
        )
    if protocol not in PROTOCOLS:
        raise ValueError(f"LVIS has no protocol {protocol!r}: give one of {', '.join(PROTOCOLS)}")
    truth = read(ground_truth, federated=True, only_images=only_images)
    found, left_out = collect(detections, truth)
    is_fixed = protocol == "fixed"
    if is_fixed:
        kept = found.best(found.category_D, MAX_OF_CATEGORY)
    else:
        kept = found.best(found.image_D, max_detections)
    judged = judge(truth, kept, len(kept) + 1)
    curves = accumulate(truth, judged, (len(kept) + 1,))
    ending = "" if is_fixed else f"@{max_detections}"
    values, undefined = split_undefined(_values(curves, truth, ending))
    counts = truth.counts()
    counts |= {"detections": len(found), "detections_judged": len(judged.score_D)}
    counts |= {"detections_left_out": left_out} if only_images is not None else {}
    details: dict[str, Any] = {
        "per_category_AP": curves.by_category(truth.names),
        "undefined": undefined,
        "counts": counts,
    }
    if intervals:
        resampled_BKT = resampled(truth, judged, resampling.draw(len(truth.image_ids)))
        details |= intervals_of(values, details["per_category_AP"], resampled_BKT, truth)
    return Metrics("lvis", _protocol(truth, found, is_fixed, max_detections), values, details)


def _values(curves: Curves, truth: Truth, ending: str) -> dict[str, float]:
    """The thirteen numbers of `LVISEval.get_results`, by its names."""
    frequencies = np.array(truth.frequencies)
    values = {"AP": curves.mean_precision(), "AP50": curves.mean_precision(threshold=0)}
    values["AP75"] = curves.mean_precision(threshold=5)
    values |= {f"AP{name}": curves.mean_precision(size) for size, name in enumerate("sml", 1)}
    values |= {
        f"AP{name}": curves.mean_precision(categories=frequencies == name) for name in FREQUENCIES
    }
    values[f"AR{ending}"] = curves.mean_recall()
    return values | {
        f"AR{name}{ending}": curves.mean_recall(size) for size, name in enumerate("sml", 1)
    }


def _protocol(truth: Truth, found: DetectionColumns, is_fixed: bool, max_detections: int) -> str:
    kept, total = len(truth.image_ids), len(truth.image_ids) + len(truth.left_out)
    subset = f", {kept} of {total} images" if truth.left_out else ""
    if is_fixed:
        counts_K = np.bincount(found.category_D, minlength=len(truth.category_ids))
        kind = (
            f"fixed AP: the {MAX_OF_CATEGORY} best of a category, any number an image; "
            f"{int((counts_K < MAX_OF_CATEGORY).sum())} categories had fewer"
        )
    else:
        kind = f"standard AP: {max_detections} detections an image"
    return f"LVIS bbox, IoU .50:.05:.95, {kind}, federated{subset}, as lvis 0.5.3"
