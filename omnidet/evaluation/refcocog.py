"""Finding the one object that an expression describes: RefCOCOg, or any expressions with boxes.

The control is the same expressions with their words scrambled. A detector that treats an expression
as a bag of words finds as much either way; the difference is what it gains from their order.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from omnidet.evaluation import resampling
from omnidet.evaluation.box_iou import iou_xyxy
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
    """(n, 4) in pixels; n is 1 unless several boxes are accepted."""
    relational: bool
    """Whether the text names the object by its relation to others ("left of the dog"), which a set
    of tokens cannot express."""


def scramble(text: str) -> str:
    """The words in another order, which is always the same for a text.

    A single word, or one word repeated, is returned unchanged.
    """
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
        boxes_xyxy: (E, 4) in pixels of the original image: the box of the highest score for each
            expression.
        scrambled_xyxy: the same for `scramble` of each text; compared with the same annotated boxes
            for the metrics `..._scrambled`.

    Raises:
        ValueError: if an expression has no annotated box or not exactly one finite predicted box.
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
    images = np.array([e.image_id for e in expressions])
    values = {name: float(hits[group].mean()) for name, group in groups.items() if group.any()}
    resampled = {
        name: resampling.share(hits[group], images[group])
        for name, group in groups.items()
        if group.any()
    }
    if scrambled_xyxy is not None:
        control = _hits(expressions, scrambled_xyxy)
        values |= {f"{name}_scrambled": float(control[groups[name]].mean()) for name in resampled}
    counts = {
        "images": len({e.image_id for e in expressions}),
        "expressions": len(expressions),
        "plain": int((~relational).sum()),
        "relational": int(relational.sum()),
        "hits": int(hits.sum()),
    }
    details = {"counts": counts} | resampling.describe(values, resampled)
    return Metrics("refcocog", PROTOCOL, values, details)


def _hits(expressions: Sequence[Expression], boxes_xyxy: FloatArray) -> npt.NDArray[np.bool_]:
    if boxes_xyxy.shape != (len(expressions), 4):
        raise ValueError(
            f"boxes_xyxy has shape {boxes_xyxy.shape}: give one box for each of the "
            f"{len(expressions)} expressions"
        )
    return np.array([_hit(e, box) for e, box in zip(expressions, boxes_xyxy, strict=True)])


def _hit(expression: Expression, box_xyxy: FloatArray) -> bool:
    if not len(expression.boxes_xyxy):
        raise ValueError(
            f"expression {expression.text!r} of image {expression.image_id} has no box: "
            "leave it out"
        )
    if not np.isfinite(box_xyxy).all():
        raise ValueError(
            f"the box for {expression.text!r} of image {expression.image_id} is "
            f"{box_xyxy.tolist()}: give finite coordinates"
        )
    return bool((iou_xyxy(box_xyxy, expression.boxes_xyxy) >= MIN_IOU).any())
