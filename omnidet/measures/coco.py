"""COCO box AP."""

from __future__ import annotations

from collections.abc import Iterable

from omnidet.data import shards
from omnidet.evaluation import coco as protocol
from omnidet.measures.by_name import predict_names
from omnidet.measures.ground_truth import ground_truth
from omnidet.measures.measure import Measure
from omnidet.measures.prediction_files import PredictionRow
from omnidet.schema import Metrics


def _evaluate(index: shards.Index, set_name: str, rows: Iterable[PredictionRow]) -> Metrics:
    return protocol.evaluate(ground_truth(index, set_name)[0], rows)


coco = Measure(predict_names(protocol.MOST[-1]), _evaluate, needs_truth=True)
"""COCO box AP, with 100 detections an image."""
