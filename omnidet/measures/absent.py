"""False positives on names that are verified to be absent from an image."""

from __future__ import annotations

from collections.abc import Iterable

import torch

from omnidet.boxes import iou
from omnidet.data import shards
from omnidet.evaluation import absent as protocol
from omnidet.inference.detector import OmniDet
from omnidet.measures.measure import ImageRows, Measure, NumberedRecords
from omnidet.measures.prediction_files import PredictionRow
from omnidet.measures.rows import short
from omnidet.schema import FloatArray, Metrics, Record


def _predict(
    detector: OmniDet, index: shards.Index, set_name: str, images: NumberedRecords
) -> ImageRows:
    for number, record in images:
        asked = [*record.phrases, *record.absent]
        located = _all_regions(detector, record, asked) if asked else []
        row: PredictionRow = {"image_id": record.image_id, "true": [], "absent": []}
        for named, (boxes, scores) in zip(record.phrase_boxes, located, strict=False):
            true_N4 = torch.from_numpy(record.boxes_xyxy[list(named)])
            meets_NQ = iou(true_N4[:, None], torch.from_numpy(boxes)) >= protocol.MIN_IOU
            row["true"] += [
                short(scores[meets].max()) if meets.any() else -1.0 for meets in meets_NQ.numpy()
            ]
        row["absent"] = [short(scores.max()) for _, scores in located[len(record.phrases) :]]
        yield number, [row]


def _all_regions(
    detector: OmniDet, record: Record, asked: list[str]
) -> list[tuple[FloatArray, FloatArray]]:
    return detector.locate(record.image, asked, top=10**9, is_present=False)


def _evaluate(index: shards.Index, set_name: str, rows: Iterable[PredictionRow]) -> Metrics:
    true, missing = zip(*((row["true"], row["absent"]) for row in rows), strict=True)
    return protocol.evaluate(true, missing)


absent = Measure(_predict, _evaluate, "absent")
"""The false-positive rate of any set that lists absent names."""
