"""Finding the boxes of each phrase of a caption (Flickr30k Entities, Plummer et al., ICCV 2015).

Counted as in MDETR's `flickr_eval.py` (Kamath et al., ICCV 2021), in both customs: a phrase with several boxes is found
by any of them (any-box), or only by the box that encloses them all (merged-box).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from omnidet.evaluation import resampling
from omnidet.schema import FloatArray, Metrics

MIN_IOU = 0.5
RANKS = (1, 5, 10)
PROTOCOL = (
    "Flickr30k Entities R@k: share of phrases with one of the k best boxes at IoU >= 0.5 with any box of the phrase (any-box) "
    "or with the box around all of them (_merged); one count a phrase, phrases without boxes left out"
)


@dataclass(frozen=True, eq=False)
class PhraseTruth:
    """A phrase of a caption and its boxes."""

    image_id: str
    text: str
    boxes_xyxy: FloatArray
    """(n, 4) in pixels; n is 0 for phrases that name nothing to be drawn."""


def evaluate(phrases: Sequence[PhraseTruth], predictions: Sequence[FloatArray]) -> Metrics:
    """Recall at 1, 5 and 10 boxes.

    Args:
        phrases: what people drew.
        predictions: for each phrase (K, 4) boxes in pixels of the original image, sorted by falling score; K may differ.

    Raises:
        ValueError: if the two do not belong together, a box is not finite or no phrase has a box.
    """
    if len(phrases) != len(predictions):
        raise ValueError(
            f"{len(predictions)} predictions for {len(phrases)} phrases: give one array a phrase"
        )
    pairs = [(p, boxes) for p, boxes in zip(phrases, predictions, strict=True) if len(p.boxes_xyxy)]
    if not pairs:
        raise ValueError(f"none of {len(phrases)} phrases has a box: give a split that has some")
    found: dict[str, list[int]] = {"": [], "_merged": []}
    for phrase, boxes_xyxy in pairs:
        found[""].append(_rank(phrase, boxes_xyxy, phrase.boxes_xyxy))
        found["_merged"].append(_rank(phrase, boxes_xyxy, _enclosing(phrase.boxes_xyxy)))
    values = {
        f"R@{k}{custom}": float(np.mean(np.array(r) < k))
        for custom, r in found.items()
        for k in RANKS
    }
    images = [phrase.image_id for phrase, _ in pairs]
    resampled = {
        f"R@{k}{custom}": resampling.share(np.array(ranks) < k, images)
        for custom, ranks in found.items()
        for k in RANKS
    }
    counts = {
        "images": len({p.image_id for p in phrases}),
        "phrases": len(phrases),
        "evaluated": len(pairs),
        "without_boxes": len(phrases) - len(pairs),
    }
    return Metrics(
        "flickr30k", PROTOCOL, values, {"counts": counts} | resampling.describe(values, resampled)
    )


def _rank(phrase: PhraseTruth, predicted_xyxy: FloatArray, true_xyxy: FloatArray) -> int:
    """Place of the first predicted box that meets a true one, from 0; one past the largest rank if none does."""
    if (
        predicted_xyxy.ndim != 2
        or predicted_xyxy.shape[1] != 4
        or not np.isfinite(predicted_xyxy).all()
    ):
        raise ValueError(
            f"predictions for {phrase.text!r} of image {phrase.image_id} have shape {predicted_xyxy.shape} or are not finite: "
            "give (K, 4) finite boxes"
        )
    import torch

    from omnidet.boxes import iou

    # Doubles, so that an overlap of exactly one half is not lost to rounding.
    predicted, true = (
        torch.from_numpy(np.asarray(b, np.float64)) for b in (predicted_xyxy, true_xyxy)
    )
    hits = (iou(predicted[:, None], true) >= MIN_IOU).any(1).nonzero()
    return int(hits[0]) if len(hits) else max(RANKS)


def _enclosing(boxes_xyxy: FloatArray) -> FloatArray:
    return np.concatenate([boxes_xyxy[:, :2].min(0), boxes_xyxy[:, 2:].max(0)])[None]
