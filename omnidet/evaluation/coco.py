"""COCO average precision of boxes, equal to that of pycocotools.

Protocol: Lin et al., Microsoft COCO, ECCV 2014, and https://cocodataset.org/#detection-eval.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from omnidet.evaluation import resampling
from omnidet.evaluation.average_precision import accumulate, resampled
from omnidet.evaluation.category_metrics import intervals as intervals_of
from omnidet.evaluation.category_metrics import split_undefined
from omnidet.evaluation.detections import collect
from omnidet.evaluation.judging import judge
from omnidet.evaluation.truth import read
from omnidet.schema import Metrics

NAMES = ("AP", "AP50", "AP75", "APs", "APm", "APl", "AR1", "AR10", "AR100", "ARs", "ARm", "ARl")
"""The twelve numbers in the order of `COCOeval.stats`."""
MOST = (1, 10, 100)
"""How many detections of an image and category count: AR1, AR10 and AR100. AP takes the last."""
PROTOCOL = (
    "COCO bbox, IoU .50:.05:.95, 101 recall points, 100 detections an image and category, "
    "as pycocotools 2.0"
)


def evaluate(
    ground_truth: str | Path, detections: Iterable[Mapping[str, Any]], intervals: bool = True
) -> Metrics:
    """Average precision and recall of the detections.

    Args:
        ground_truth: COCO annotation file, local or `s3://`.
        detections: any number of boxes as `detections.Detection`; `detections.read_rows` reads them
            from a file one by one. The 100 best of an image and category count. Without any, every
            number is 0.
        intervals: whether to resample images for confidence intervals.

    Raises:
        ValueError: if a detection cannot be counted; it is named by its index.
    """
    truth = read(ground_truth)
    found, _ = collect(detections, truth)
    judged = judge(truth, found, MOST[-1])
    curves = accumulate(truth, judged, MOST)
    stats = [curves.mean_precision(), *(curves.mean_precision(threshold=t) for t in (0, 5))]
    stats += [curves.mean_precision(size) for size in (1, 2, 3)]
    stats += [curves.mean_recall(most=m) for m in range(len(MOST))]
    stats += [curves.mean_recall(size) for size in (1, 2, 3)]
    values, undefined = split_undefined(dict(zip(NAMES, stats, strict=True)))
    details: dict[str, Any] = {
        "per_category_AP": curves.by_category(truth.names),
        "undefined": undefined,
        "counts": truth.counts()
        | {"detections": len(found), "detections_judged": len(judged.score_D)},
    }
    if intervals:
        resampled_BKT = resampled(truth, judged, resampling.draw(len(truth.image_ids)))
        details |= intervals_of(values, details["per_category_AP"], resampled_BKT, truth)
    return Metrics("coco", PROTOCOL, values, details)
