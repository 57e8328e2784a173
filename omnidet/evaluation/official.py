"""The official evaluators of COCO and LVIS, to check this package against.

They give the same numbers, slower and with more memory. The tests and `benchmarks/evaluators.py`
compare.
"""

from __future__ import annotations

import contextlib
import functools
import importlib
import importlib.util
import logging
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from omnidet.evaluation.detections import Detection
from omnidet.evaluation.truth import read_dataset


def coco(ground_truth: str | Path, detections: Sequence[Detection]) -> Any:
    """The `COCOeval` of pycocotools after its run."""
    from pycocotools.cocoeval import COCOeval

    dataset = read_dataset(ground_truth)
    dataset["annotations"] = [{"iscrowd": 0, **annotation} for annotation in dataset["annotations"]]
    # The official code prints its progress.
    with open(os.devnull, "w") as nowhere, contextlib.redirect_stdout(nowhere):
        evaluator = COCOeval(
            _coco_index(dataset),
            _coco_index({**dataset, "annotations": _annotations(detections)}),
            "bbox",
        )
        evaluator.evaluate()
        evaluator.accumulate()
        evaluator.summarize()
    return evaluator


def lvis(
    ground_truth: str | Path, detections: Sequence[Detection], max_detections: int = 300
) -> Any:
    """The `LVISEval` of lvis after its run; with `max_detections=-1` all detections count."""
    official = _lvis_module()
    dataset = read_dataset(ground_truth)
    # The constructors do no more than read files, but that of LVISResults fails on an empty list
    # and copies the whole ground truth. So both are made without them, and indexed by the method
    # that the constructors call; the package has no public one.
    truth = official.LVIS.__new__(official.LVIS)
    results = official.LVISResults.__new__(official.LVISResults)
    truth.dataset = dataset
    kept: Sequence[Any] = detections
    if max_detections >= 0:
        kept = results.limit_dets_per_image(detections, max_detections)
    results.dataset = {**dataset, "annotations": _annotations(kept)}
    for index in (truth, results):
        index.logger = logging.getLogger("lvis")
        index._create_index()
    evaluator = official.LVISEval(truth, results, "bbox")
    evaluator.params.max_dets = max_detections
    evaluator.run()
    return evaluator


def _annotations(detections: Sequence[Detection]) -> list[dict[str, Any]]:
    """Annotations made of a list of boxes, as in the results classes of both packages.

    Those classes fail on an empty list and write into the caller's dictionaries.
    """
    return [
        {**d, "id": number, "area": d["bbox"][2] * d["bbox"][3], "iscrowd": 0}
        for number, d in enumerate(detections, 1)
    ]


def _coco_index(dataset: dict[str, Any]) -> Any:
    from pycocotools.coco import COCO

    coco = COCO()
    coco.dataset = dataset
    coco.createIndex()
    return coco


class _NumpyWithFloat:
    """numpy as `lvis.eval` expects it: with `np.float`, Python's float, removed in numpy 1.24."""

    float = float

    def __getattr__(self, name: str) -> Any:
        return getattr(np, name)


@functools.cache
def _lvis_module() -> ModuleType:
    """The module `lvis.eval`, loaded without the package's `__init__`.

    That imports OpenCV and matplotlib for drawing, and OpenCV needs libGL, which slim machines
    lack. So an empty package replaces it while the submodules load. Afterwards `sys.modules` is as
    before: whoever imports lvis gets all of it.
    """
    spec = importlib.util.find_spec("lvis")
    if spec is None or spec.submodule_search_locations is None:
        raise ModuleNotFoundError("No module named 'lvis'", name="lvis")
    before = {
        name: sys.modules.pop(name) for name in list(sys.modules) if name.split(".")[0] == "lvis"
    }
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
