"""Finding the boxes of each phrase of a caption (Flickr30k Entities, Plummer et al., ICCV 2015).

Counted as in MDETR's `flickr_eval.py` (Kamath et al., ICCV 2021), by both conventions: a phrase
with several boxes is found by any of them (any-box), or only by the box that encloses them all
(merged-box).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from omnidet.evaluation import resampling
from omnidet.evaluation.box_iou import iou_xyxy
from omnidet.schema import FloatArray, Metrics

MIN_IOU = 0.5
RANKS = (1, 5, 10)
PROTOCOL = (
    "Flickr30k Entities R@k: share of phrases with one of the k best boxes at IoU >= 0.5 with any "
    "box of the phrase (any-box) or with the box around all of them (_merged); one count a phrase, "
    "phrases without boxes left out"
)


@dataclass(frozen=True, eq=False)
class PhraseTruth:
    """A phrase of a caption and its boxes."""

    image_id: str
    text: str
    boxes_xyxy: FloatArray
    """(n, 4) in pixels; n is 0 for a phrase that names nothing that can be boxed."""


def evaluate(phrases: Sequence[PhraseTruth], predictions: Sequence[FloatArray]) -> Metrics:
    """Recall at 1, 5 and 10 boxes.

    Args:
        phrases: what people annotated.
        predictions: for each phrase, (K, 4) boxes in pixels of the original image, best first; K
            may differ between phrases.

    Raises:
        ValueError: if the two differ in length, a box is not finite, or no phrase has a box.
    """
    if len(phrases) != len(predictions):
        raise ValueError(
            f"{len(predictions)} predictions for {len(phrases)} phrases: give one array for each"
        )
    pairs = [(p, boxes) for p, boxes in zip(phrases, predictions, strict=True) if len(p.boxes_xyxy)]
    if not pairs:
        raise ValueError(f"none of {len(phrases)} phrases has a box: give a split that has some")
    found: dict[str, list[int]] = {"": [], "_merged": []}
    for phrase, boxes_xyxy in pairs:
        found[""].append(_rank(phrase, boxes_xyxy, phrase.boxes_xyxy))
        found["_merged"].append(_rank(phrase, boxes_xyxy, _enclosing(phrase.boxes_xyxy)))
    hits = {
        f"R@{k}{convention}": np.array(ranks) < k
        for convention, ranks in found.items()
        for k in RANKS
    }
    values = {name: float(np.mean(own)) for name, own in hits.items()}
    images = [phrase.image_id for phrase, _ in pairs]
    resampled = {name: resampling.share(own, images) for name, own in hits.items()}
    counts = {
        "images": len({p.image_id for p in phrases}),
        "phrases": len(phrases),
        "evaluated": len(pairs),
        "without_boxes": len(phrases) - len(pairs),
    }
    details = {"counts": counts} | resampling.describe(values, resampled)
    return Metrics("flickr30k", PROTOCOL, values, details)


def _rank(phrase: PhraseTruth, predicted_xyxy: FloatArray, true_xyxy: FloatArray) -> int:
    """Position of the first predicted box that meets a true one, from 0; 10 if none does."""
    shape = predicted_xyxy.shape
    if len(shape) != 2 or shape[1] != 4 or not np.isfinite(predicted_xyxy).all():
        raise ValueError(
            f"predictions for {phrase.text!r} of image {phrase.image_id} have shape {shape} or are "
            "not finite: give (K, 4) finite boxes"
        )
    hits = np.flatnonzero((iou_xyxy(predicted_xyxy[:, None], true_xyxy) >= MIN_IOU).any(1))
    return int(hits[0]) if len(hits) else max(RANKS)


def _enclosing(boxes_xyxy: FloatArray) -> FloatArray:
    return np.concatenate([boxes_xyxy[:, :2].min(0), boxes_xyxy[:, 2:].max(0)])[None]
