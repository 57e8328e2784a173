"""LVIS average precision of boxes, v0.5 and v1, counted by the official `lvis` package.

Protocol: Gupta et al., LVIS, CVPR 2019. The annotation is federated: a detection counts only where its category is
known to be present or absent in the image. Categories are rare, common or frequent by the images of the training set.
"""

from __future__ import annotations

import functools
import importlib
import importlib.metadata
import importlib.util
import logging
import sys
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from omnidet.evaluation.detections import Detection, category_precision, check, read_ground_truth, split_undefined
from omnidet.schema import Metrics


def evaluate(ground_truth: str | Path, detections: Sequence[Detection], max_detections: int = 300) -> Metrics:
    """Average precision, also of the rare, common and frequent categories, and recall.

    Args:
        ground_truth: LVIS annotation file, v0.5 or v1, local or `s3://`.
        detections: boxes of any number an image, best without a score threshold; may be empty: every number is then 0.
        max_detections: how many of an image count, those of the highest score. The official value is 300.

    Raises:
        ValueError: for a detection that cannot be counted, named by its index.
    """
    if max_detections < 1:
        raise ValueError(f"max_detections={max_detections} must be at least 1: the official value is 300")
    dataset = read_ground_truth(ground_truth)
    if any("neg_category_ids" not in image for image in dataset["images"]):
        raise ValueError(f"{ground_truth} has images without neg_category_ids: give an LVIS file, or evaluate with COCO")
    check(detections, {i["id"] for i in dataset["images"]}, {c["id"] for c in dataset["categories"]})
    evaluator = _run(dataset, detections, max_detections)
    values, undefined = split_undefined(evaluator.get_results())
    names = {c["id"]: c["name"] for c in dataset["categories"]}
    # Axes: IoU threshold, recall point, category, area range (all).
    precision_TRK = np.asarray(evaluator.eval["precision"])[..., 0]
    details = {
        "per_category_AP": category_precision(precision_TRK, [names[i] for i in evaluator.params.cat_ids]),
        "undefined": undefined,
        "counts": {
            "images": len(dataset["images"]),
            "annotations": len(dataset["annotations"]),
            "categories": len(names),
            "detections": len(detections),
            "detections_judged": sum(len(found) for found in evaluator._dts.values()),
        },
    }
    version = importlib.metadata.version("lvis")
    protocol = f"LVIS bbox, IoU .50:.05:.95, {max_detections} detections an image, federated, lvis {version}"
    return Metrics("lvis", protocol, values, details)


def _run(dataset: dict[str, Any], detections: Sequence[Detection], max_detections: int) -> Any:
    """The official evaluator after its run."""
    official = _official()
    # The constructors only read files; that of LVISResults also fails on an empty list and copies the whole ground truth.
    truth, results = official.LVIS.__new__(official.LVIS), official.LVISResults.__new__(official.LVISResults)
    truth.dataset = dataset
    kept = results.limit_dets_per_image(detections, max_detections)
    annotations = [{**d, "id": number, "area": d["bbox"][2] * d["bbox"][3]} for number, d in enumerate(kept, 1)]
    results.dataset = {**dataset, "annotations": annotations}
    for index in (truth, results):
        index.logger = logging.getLogger("lvis")
        index._create_index()
    evaluator = official.LVISEval(truth, results, "bbox")
    evaluator.params.max_dets = max_detections
    evaluator.run()
    return evaluator


class _NumpyWithFloat:
    """numpy as `lvis.eval` knew it: `np.float` was Python's float and is gone since numpy 1.24."""

    float = float

    def __getattr__(self, name: str) -> Any:
        return getattr(np, name)


@functools.cache
def _official() -> ModuleType:
    """The module `lvis.eval`, loaded without the package's `__init__`.

    That one imports OpenCV and matplotlib for drawing, and OpenCV needs libGL, which slim machines lack. So an empty
    package stands in for it while the submodules load. Afterwards `sys.modules` is as before: who imports lvis gets it whole.
    """
    spec = importlib.util.find_spec("lvis")
    if spec is None or spec.submodule_search_locations is None:
        raise ImportError("the package lvis is not installed: pip install lvis")
    before = {name: sys.modules.pop(name) for name in list(sys.modules) if name.split(".")[0] == "lvis"}
    package = ModuleType("lvis")
    package.__path__ = list(spec.submodule_search_locations)
    sys.modules["lvis"] = package
    try:
        module = importlib.import_module("lvis.eval")
    finally:
        for name in [name for name in sys.modules if name.split(".")[0] == "lvis"]:
            del sys.modules[name]
        sys.modules.update(before)
    vars(module)["np"] = _NumpyWithFloat()
    return module
