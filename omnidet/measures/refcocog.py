"""RefCOCOg: the best box for each expression, and for the same words scrambled."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np

from omnidet.data import shards
from omnidet.data.relations import is_relational
from omnidet.evaluation import refcocog as protocol
from omnidet.evaluation.stored import REMEDY
from omnidet.inference.detector import OmniDet
from omnidet.measures.measure import ImageRows, Measure, NumberedRecords
from omnidet.measures.prediction_files import PredictionRow
from omnidet.measures.rows import phrase_row, plain_box
from omnidet.schema import Metrics, Record


def _predict(
    detector: OmniDet, index: shards.Index, set_name: str, images: NumberedRecords
) -> ImageRows:
    for number, record in images:
        scrambled = [protocol.scramble(text) for text in record.phrases]
        asked = [*record.phrases, *scrambled]
        located = detector.locate(record.image, asked) if asked else []
        pairs = zip(record.phrases, located, located[len(record.phrases) :], strict=False)
        rows = [
            phrase_row(record, text, *own) | {"scrambled_box_xyxy": plain_box(boxes[0])}
            for text, own, (boxes, _) in pairs
        ]
        yield number, rows


def _evaluate(index: shards.Index, set_name: str, rows: Iterable[PredictionRow]) -> Metrics:
    expressions, chosen, scrambled = [], [], []
    for record, text, named, row in _phrases(index, set_name, rows):
        truth = record.boxes_xyxy[list(named)]
        expressions.append(protocol.Expression(record.image_id, text, truth, is_relational(text)))
        chosen.append(row["boxes_xyxy"][0])
        scrambled.append(row["scrambled_box_xyxy"])
    boxes, control = (np.array(part, np.float32).reshape(-1, 4) for part in (chosen, scrambled))
    return protocol.evaluate(expressions, boxes, control)


def _phrases(
    index: shards.Index, set_name: str, rows: Iterable[PredictionRow]
) -> Iterator[tuple[Record, str, tuple[int, ...], Mapping[str, Any]]]:
    """Each phrase of the set, with the boxes that it names and its row."""
    remaining = iter(rows)
    for record in shards.texts(index, set_name):
        for text, named in zip(record.phrases, record.phrase_boxes, strict=True):
            row = next(remaining, None)
            if row is None or (row["image_id"], row["phrase"]) != (record.image_id, text):
                raise ValueError(
                    f"{set_name}: no prediction for {text!r} of image {record.image_id}: {REMEDY}"
                )
            yield record, text, named, row


refcocog = Measure(_predict, _evaluate)
"""Share of expressions whose best box meets the annotated one; also with their words scrambled."""
