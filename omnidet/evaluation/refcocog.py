"""Finding the one object that an expression describes (RefCOCOg, or any set of expressions with boxes).

The control: the same expressions with their words in another order. A detector that reads words as a bag finds as much with
it as without; the difference is what it makes of their order.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from omnidet.evaluation import resampling
from omnidet.schema import FloatArray, Metrics

MIN_IOU = 0.5
PROTOCOL = (
    "AIGT: share of expressions whose best box has IoU >= 0.5 with the annotated box; "
    "one box and one count an expression; IoU, not generalised IoU"
)


@dataclass(frozen=True, eq=False)
class Expression:
    """A text and the box that it describes."""

    image_id: str
    text: str
    boxes_xyxy: FloatArray
    """(n, 4) in pixels; n is 1 but where several boxes are accepted."""
    relational: bool
    """Whether the text names the object by its relation to others ("left of the dog"), which a set of tokens cannot hold."""


def scramble(text: str) -> str:
    """The words in another order, always the same one for a text; one word, or one word repeated, stays as it is."""
    words = text.split()
    shuffled = list(words)
    generator = random.Random(text)
    while len(set(words)) > 1 and shuffled == words:
        generator.shuffle(shuffled)
    return " ".join(shuffled)


def evaluate(
    expressions: Sequence[Expression],
    boxes_xyxy: FloatArray,
    scrambled_xyxy: FloatArray | None = None,
) -> Metrics:
    """AIGT of the best box for each expression.

    Args:
        expressions: E texts with their boxes.
        boxes_xyxy: (E, 4) in pixels of the original image, the box of the highest score for each expression.
        scrambled_xyxy: likewise for `scramble` of each text, judged by the same annotated boxes: the keys `..._scrambled`.

    Raises:
        ValueError: if there is not one finite box for each expression, or an expression without an annotated box.
    """
    if not expressions:
        raise ValueError("there are no expressions to evaluate: give a split that has some")
    relational = np.array([e.relational for e in expressions])
    groups = {
        "AIGT": np.ones_like(relational),
        "AIGT_plain": ~relational,
        "AIGT_relational": relational,
    }
    hits = _hits(expressions, boxes_xyxy)
    images = [e.image_id for e in expressions]
    values = {name: float(hits[group].mean()) for name, group in groups.items() if group.any()}
    resampled = {
        name: resampling.share(
            hits[group], [i for i, own in zip(images, group, strict=True) if own]
        )
        for name, group in groups.items()
        if group.any()
    }
    if scrambled_xyxy is not None:
        control = _hits(expressions, scrambled_xyxy)
        values |= {
            f"{name}_scrambled": float(control[group].mean())
            for name, group in groups.items()
            if group.any()
        }
    counts = {
        "images": len({e.image_id for e in expressions}),
        "expressions": len(expressions),
        "plain": int((~relational).sum()),
        "relational": int(relational.sum()),
        "hits": int(hits.sum()),
    }
    return Metrics(
        "refcocog", PROTOCOL, values, {"counts": counts} | resampling.describe(values, resampled)
    )


def _hits(expressions: Sequence[Expression], boxes_xyxy: FloatArray) -> npt.NDArray[np.bool_]:
    if boxes_xyxy.shape != (len(expressions), 4):
        raise ValueError(
            f"boxes_xyxy has shape {boxes_xyxy.shape}: {len(expressions)} expressions need one box each"
        )
    return np.array([_hit(e, box) for e, box in zip(expressions, boxes_xyxy, strict=True)])


def _hit(expression: Expression, box_xyxy: FloatArray) -> bool:
    if not len(expression.boxes_xyxy):
        raise ValueError(
            f"expression {expression.text!r} of image {expression.image_id} has no box: leave it out"
        )
    if not np.isfinite(box_xyxy).all():
        raise ValueError(
            f"the box for {expression.text!r} of image {expression.image_id} is {box_xyxy.tolist()}: not finite"
        )
    import torch

    from omnidet.boxes import iou

    # Doubles, so that an overlap of exactly one half is not lost to rounding.
    found, true = (
        torch.from_numpy(np.asarray(b, np.float64)) for b in (box_xyxy, expression.boxes_xyxy)
    )
    return bool((iou(found, true) >= MIN_IOU).any())
