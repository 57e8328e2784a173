"""LVIS box AP, by the official protocol."""

from __future__ import annotations

from collections.abc import Iterable

from omnidet.data import shards
from omnidet.evaluation import lvis as protocol
from omnidet.measures.by_name import predict_names
from omnidet.measures.ground_truth import ground_truth
from omnidet.measures.measure import Measure
from omnidet.measures.prediction_files import PredictionRow
from omnidet.schema import Metrics


def _evaluate(index: shards.Index, set_name: str, rows: Iterable[PredictionRow]) -> Metrics:
    return protocol.evaluate(ground_truth(index, set_name)[0], rows)


lvis = Measure(predict_names(protocol.MAX_DETECTIONS), _evaluate, needs_truth=True)
"""LVIS box AP, with 300 detections an image."""
