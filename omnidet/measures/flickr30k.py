"""Flickr30K Entities: the best boxes for each phrase of each sentence."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from omnidet.data import shards
from omnidet.evaluation import flickr30k as protocol
from omnidet.evaluation import flickr30k_files
from omnidet.evaluation.stored import REMEDY
from omnidet.inference.detector import OmniDet
from omnidet.measures.ground_truth import ground_truth
from omnidet.measures.measure import ImageRows, Measure, NumberedRecords
from omnidet.measures.prediction_files import PredictionRow
from omnidet.measures.rows import phrase_row
from omnidet.schema import Metrics


def _predict(
    detector: OmniDet, index: shards.Index, set_name: str, images: NumberedRecords
) -> ImageRows:
    counted = _counted_phrases(index, set_name)
    for number, record in images:
        known = {text.lower() for text in record.phrases}
        texts = [phrase.text for phrase in counted.get(record.image_id, [])]
        others = {text.lower(): text for text in texts if text.lower() not in known}
        asked = [*record.phrases, *others.values()]
        located = detector.locate(record.image, asked, top=max(protocol.RANKS)) if asked else []
        pairs = zip(asked, located, strict=True)
        yield number, [phrase_row(record, text, *own) for text, own in pairs]


def _evaluate(index: shards.Index, set_name: str, rows: Iterable[PredictionRow]) -> Metrics:
    """Every phrase of every sentence counts once; equal phrases of an image share their boxes."""
    found = {}
    for row in rows:
        boxes = np.array(row["boxes_xyxy"], np.float32).reshape(-1, 4)
        found[row["image_id"], row["phrase"].lower()] = boxes
    counted = _counted_phrases(index, set_name)
    truths = [
        phrase
        for record in shards.texts(index, set_name)
        for phrase in counted.get(record.image_id, [])
    ]
    lacking = next((t for t in truths if (t.image_id, t.text.lower()) not in found), None)
    if lacking:
        raise ValueError(
            f"{set_name}: no prediction for {lacking.text!r} of image {lacking.image_id}: {REMEDY}"
        )
    return protocol.evaluate(truths, [found[t.image_id, t.text.lower()] for t in truths])


def _counted_phrases(index: shards.Index, set_name: str) -> dict[str, list[protocol.PhraseTruth]]:
    """The phrases with boxes of all sentences, by image."""
    found: dict[str, list[protocol.PhraseTruth]] = {}
    path, _ = ground_truth(index, set_name)
    for phrases in flickr30k_files.read_phrases(str(path), "").values():
        for phrase in phrases:
            found.setdefault(phrase.image_id, []).append(phrase)
    return found


flickr30k = Measure(_predict, _evaluate, needs_truth=True)
"""Recall of phrases at 1, 5 and 10 boxes; every phrase of every sentence counts, as is usual."""
