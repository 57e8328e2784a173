"""A detector that finds what the records say, to be measured against the official annotations.

It must get full marks: then ids, names and coordinates are right on both sides. The detections come
from the shards and the ground truth from the annotation files; the two meet only in `evaluate`.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from omnidet.data import shards
from omnidet.inference.detector import Detections, OmniDet, Prompt
from omnidet.measures import run
from omnidet.measures.config import Benchmark, EvaluationConfig
from omnidet.measures.measure import Evaluation
from omnidet.schema import FloatArray, Record
from tests import toys


class TruthTeller(OmniDet):
    """Finds in each image what its record says, under the same names.

    Args:
        moved: how far each box is moved to the right, as a share of its width.
        shift: by how many names each box is misnamed.
    """

    def __init__(self, records: Sequence[Record], moved: float = 0.0, shift: int = 0) -> None:
        super().__init__(toys.toy_detector(), toys.toy_vocabulary(), {})
        self.records = {record.image: record for record in records}
        self.moved, self.shift = moved, shift

    def _boxes(self, record: Record, phrase: str) -> FloatArray:
        if phrase not in record.phrases:  # scrambled or absent
            return np.array([[0, 0, 1, 1]], np.float32)
        boxes = record.boxes_xyxy[list(record.phrase_boxes[record.phrases.index(phrase)])].copy()
        boxes[:, [0, 2]] += self.moved * (boxes[:, 2:3] - boxes[:, :1])
        return boxes

    def detect(
        self,
        images: Sequence[bytes],
        prompt: Prompt | Sequence[str],
        max_detections: int = 100,  # noqa: ARG002
        threshold: float = 0.0,  # noqa: ARG002
    ) -> list[Detections]:
        assert isinstance(prompt, Prompt)
        found = []
        for image in images:
            record = self.records[image]
            pairs = [
                (prompt.phrases.index(p), box)
                for p in record.phrases
                for box in self._boxes(record, p)
            ]
            boxes = np.array([box for _, box in pairs], np.float32).reshape(-1, 4)
            phrase = np.array([(p + self.shift) % len(prompt.phrases) for p, _ in pairs], np.int64)
            ones = np.ones(len(pairs), np.float32)
            found.append(Detections(boxes, ones, phrase, record.width, record.height))
        return found

    def locate(
        self,
        image: bytes,
        phrases: Sequence[str],
        top: int = 1,
        *,
        is_present: bool = True,  # noqa: ARG002
    ) -> list[tuple[FloatArray, FloatArray]]:
        record = self.records[image]
        boxes = [self._boxes(record, phrase)[:top] for phrase in phrases]
        known = [phrase in record.phrases for phrase in phrases]
        return [
            (b, np.full(len(b), 0.9 if is_true else 0.1, np.float32))
            for b, is_true in zip(boxes, known, strict=True)
        ]


def measured(
    index: shards.Index,
    folder: Path,
    measure: str,
    set_name: str,
    moved: float = 0.0,
    shift: int = 0,
) -> Evaluation:
    """What the measure makes of a truth teller; metrics are called `<measure>/<metric>`."""
    detector = TruthTeller(list(shards.records(index, set_name)), moved, shift)
    config = EvaluationConfig((Benchmark(measure, measure, set_name),))
    result = run.in_one_process(detector, index, config, folder)
    (rows,) = folder.iterdir()
    assert json.loads(rows.read_text())
    return result
