"""Flickr30K Entities: the best boxes for each phrase of each sentence."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from omnidet.data import shards
from omnidet.evaluation import flickr30k as protocol
from omnidet.evaluation import flickr30k_files
from omnidet.inference.detector import OmniDet
from omnidet.measures.ground_truth import ground_truth
from omnidet.measures.measure import ImageRows, Measure, NumberedRecords
from omnidet.measures.prediction_files import PredictionRow
from omnidet.measures.rows import phrase_row
from omnidet.schema import Metrics


def _predict_phrases(
    detector: OmniDet, index: shards.Index, set_name: str, images: NumberedRecords
) -> ImageRows:
    counted = _counted_phrases(index, set_name)
    for number, record in images:
        known = {text.lower() for text in record.phrases}
        others = {
            p.text.lower(): p.text
            for p in counted.get(record.image_id, [])
            if p.text.lower() not in known
        }
        asked = [*record.phrases, *others.values()]
        located = detector.locate(record.image, asked, top=10) if asked else []
        yield (
            number,
            [phrase_row(record, text, *own) for text, own in zip(asked, located, strict=True)],
        )


def _evaluate_phrases(index: shards.Index, set_name: str, rows: Iterable[PredictionRow]) -> Metrics:
    """Each phrase of each sentence counts once; equal words of an image share what was found for them."""
    found = {
        (row["image_id"], row["phrase"].lower()): np.array(row["boxes_xyxy"], np.float32).reshape(
            -1, 4
        )
        for row in rows
    }
    counted = _counted_phrases(index, set_name)
    truths = [
        phrase
        for record in shards.texts(index, set_name)
        for phrase in counted.get(record.image_id, [])
    ]
    lacking = next((t for t in truths if (t.image_id, t.text.lower()) not in found), None)
    if lacking:
        raise ValueError(
            f"{set_name}: no prediction for {lacking.text!r} of image {lacking.image_id}: evaluate anew"
        )
    return protocol.evaluate(truths, [found[t.image_id, t.text.lower()] for t in truths])


def _counted_phrases(index: shards.Index, set_name: str) -> dict[str, list[protocol.PhraseTruth]]:
    """Those of all sentences with boxes, by image."""
    found: dict[str, list[protocol.PhraseTruth]] = {}
    for phrases in flickr30k_files.read_phrases(str(ground_truth(index, set_name)[0]), "").values():
        for phrase in phrases:
            found.setdefault(phrase.image_id, []).append(phrase)
    return found


flickr30k = Measure(_predict_phrases, _evaluate_phrases, needs_truth=True)
"""Recall of phrases at 1, 5 and 10 boxes; every phrase of every sentence counts, as is usual for Flickr30K."""
