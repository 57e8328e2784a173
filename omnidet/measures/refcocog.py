"""RefCOCOg: the best box for each expression, and for the same words scrambled."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np

from omnidet.data import shards
from omnidet.data.vocabulary import is_relational
from omnidet.evaluation import refcocog as protocol
from omnidet.inference.detector import OmniDet
from omnidet.measures.measure import ImageRows, Measure, NumberedRecords
from omnidet.measures.prediction_files import PredictionRow
from omnidet.measures.rows import phrase_row, plain_box
from omnidet.schema import Metrics, Record


def _predict_expressions(
    detector: OmniDet, index: shards.Index, set_name: str, images: NumberedRecords
) -> ImageRows:
    for number, record in images:
        scrambled = [protocol.scramble(text) for text in record.phrases]
        located = (
            detector.locate(record.image, [*record.phrases, *scrambled]) if record.phrases else []
        )
        pairs = zip(record.phrases, located, located[len(record.phrases) :], strict=False)
        yield (
            number,
            [
                phrase_row(record, text, *own) | {"scrambled_box_xyxy": plain_box(control[0][0])}
                for text, own, control in pairs
            ],
        )


def _evaluate_expressions(
    index: shards.Index, set_name: str, rows: Iterable[PredictionRow]
) -> Metrics:
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
    """Each phrase of the set with its boxes and its row."""
    remaining = iter(rows)
    for record in shards.texts(index, set_name):
        for text, named in zip(record.phrases, record.phrase_boxes, strict=True):
            row = next(remaining, None)
            if row is None or (row["image_id"], row["phrase"]) != (record.image_id, text):
                raise ValueError(
                    f"{set_name}: no prediction for {text!r} of image {record.image_id}: evaluate anew"
                )
            yield record, text, named, row


refcocog = Measure(_predict_expressions, _evaluate_expressions)
"""Share of expressions whose best box meets the annotated one, as written and with the words scrambled."""
