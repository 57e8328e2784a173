"""COCO average precision of boxes, counted by pycocotools.

Protocol: Lin et al., Microsoft COCO, ECCV 2014, and https://cocodataset.org/#detection-eval.
"""

from __future__ import annotations

import contextlib
import importlib.metadata
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from omnidet.evaluation.detections import Detection, category_precision, check, read_ground_truth, split_undefined
from omnidet.schema import Metrics

NAMES = ("AP", "AP50", "AP75", "APs", "APm", "APl", "AR1", "AR10", "AR100", "ARs", "ARm", "ARl")
"""The twelve numbers in the order of `COCOeval.stats`."""


def evaluate(ground_truth: str | Path, detections: Sequence[Detection]) -> Metrics:
    """Average precision and recall of the detections.

    Args:
        ground_truth: COCO annotation file, local or `s3://`.
        detections: boxes of any number; the 100 best of an image and category count. May be empty: every number is then 0.

    Raises:
        ValueError: for a detection that cannot be counted, named by its index.
    """
    dataset = read_ground_truth(ground_truth)
    check(detections, {i["id"] for i in dataset["images"]}, {c["id"] for c in dataset["categories"]})
    # The official code reports its progress by printing.
    with open(os.devnull, "w") as nowhere, contextlib.redirect_stdout(nowhere):
        evaluator = COCOeval(_index(dataset), _index({**dataset, "annotations": _annotations(detections)}), "bbox")
        evaluator.evaluate()
        evaluator.accumulate()
        evaluator.summarize()
    names = {c["id"]: c["name"] for c in dataset["categories"]}
    values, undefined = split_undefined(dict(zip(NAMES, evaluator.stats, strict=True)))
    # Axes: IoU threshold, recall point, category, area range (all), most detections an image (100).
    precision_TRK = np.asarray(evaluator.eval["precision"])[..., 0, -1]
    details = {
        "per_category_AP": category_precision(precision_TRK, [names[i] for i in evaluator.params.catIds]),
        "undefined": undefined,
        "counts": {
            "images": len(dataset["images"]),
            "annotations": len(dataset["annotations"]),
            "categories": len(names),
            "detections": len(detections),
        },
    }
    version = importlib.metadata.version("pycocotools")
    return Metrics("coco", f"COCO bbox, IoU .50:.05:.95, 100 detections an image, pycocotools {version}", values, details)


def _annotations(detections: Sequence[Detection]) -> list[dict[str, Any]]:
    """What `COCO.loadRes` makes of a list of boxes; it fails on an empty one and writes into the caller's dictionaries."""
    return [{**d, "id": number, "area": d["bbox"][2] * d["bbox"][3], "iscrowd": 0} for number, d in enumerate(detections, 1)]


def _index(dataset: dict[str, Any]) -> COCO:
    coco = COCO()
    coco.dataset = dataset
    coco.createIndex()
    return coco
