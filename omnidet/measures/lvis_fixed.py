"""LVIS box AP by the fixed protocol (Dave et al., arXiv 2102.01066)."""

from __future__ import annotations

from collections.abc import Iterable

from omnidet.data import shards
from omnidet.evaluation import lvis as protocol
from omnidet.measures.by_name import predict_names
from omnidet.measures.ground_truth import ground_truth
from omnidet.measures.measure import Measure
from omnidet.measures.prediction_files import PredictionRow
from omnidet.schema import Metrics


def _evaluate_lvis_fixed(
    index: shards.Index, set_name: str, rows: Iterable[PredictionRow]
) -> Metrics:
    return protocol.evaluate(ground_truth(index, set_name)[0], rows, protocol="fixed")


lvis_fixed = Measure(predict_names(1000), _evaluate_lvis_fixed, "fixed", needs_truth=True)
"""LVIS fixed AP: 10,000 detections a category, with at most 1,000 an image."""
