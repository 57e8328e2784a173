"""Fit what scores mean: held-out images with known boxes -> Confidence.

    for each image and phrase: regions, best first --judge--> (logit, right?) --fit--> lines

A region is right if its box meets a box of the phrase, IoU >= .5, that no better region has met.
Images that list no absent names are asked only for what they show, so regions are right more often
there at the same logit: they get an offset of their own in the fit, which is then left out. They
are also asked for what other such pictures show: people ask for what is not there. From that come
the offset of relations, which only such pictures have, and the threshold.
"""

from __future__ import annotations

import dataclasses
from collections import deque
from collections.abc import Iterable, Sequence

import numpy as np

from omnidet.data.mixing.set_aside import LEAST_BOXES
from omnidet.evaluation import logistic
from omnidet.evaluation.box_iou import iou_xyxy
from omnidet.evaluation.truth import Bools, Doubles
from omnidet.inference.detector import OmniDet
from omnidet.model.confidence import Confidence, Line, shapes
from omnidet.schema import FloatArray, Record

REGIONS = 50
"""Best regions of each phrase and image that are judged."""
LEAST_LOGIT = -4.0
"""Regions below, a score of .02, are as good as never right."""
MOST_ABSENT = 100
"""Absent names of an image that are asked for."""
MOST_BORROWED = 15
"""Phrases of other pictures that a picture without absent names is asked for. One may be true of it
by chance: expressions mostly are not."""
AS_GOOD = 0.005
"""F1 that is less than this below the best may be the best on other pictures."""
MIN_IOU = 0.5
IMAGES_AT_ONCE = 8


@dataclasses.dataclass(frozen=True, eq=False)
class _Judged:
    """Regions of one phrase in one image, best first."""

    logits: Doubles
    right: Bools
    shape: FloatArray
    is_closed: bool
    """Whether the image lists absent names."""
    true_boxes: int
    is_borrowed: bool
    """Whether it is a phrase of another picture."""


def fit(detector: OmniDet, records: Iterable[Record]) -> Confidence:
    """The confidence of a detector; the identity if the images have too few boxes.

    Args:
        detector: one without a confidence of its own.
        records: images that it was not trained on.
    """
    judged: list[_Judged] = []
    images = 0
    batch: list[Record] = []
    lent: deque[str] = deque(maxlen=MOST_BORROWED)
    for record in records:
        batch.append(record)
        if len(batch) == IMAGES_AT_ONCE:
            judged += _judge(detector, batch, lent)
            images, batch = images + len(batch), []
    judged += _judge(detector, batch, lent)
    images += len(batch)
    shown = [one for one in judged if one.true_boxes and len(one.logits)]
    boxes = sum(one.true_boxes for one in shown)
    if boxes < LEAST_BOXES or not any(one.right.any() for one in shown):
        return Confidence()
    asked = _line([one for one in judged if not one.is_borrowed], best_only=False)
    asked = _with_context(asked, [one for one in judged if one.shape[1] > 0])
    present = _line(shown, best_only=True)
    if min(asked.scale, present.scale) <= 0:  # a detector that has learned nothing
        return Confidence()
    return Confidence(asked, present, _best_threshold(judged, asked), images, boxes)


def _judge(detector: OmniDet, records: Sequence[Record], lent: deque[str]) -> list[_Judged]:
    """What the detector finds for the phrases of each picture.

    Args:
        lent: phrases of pictures before, to which those of these pictures are added.
    """
    found: list[_Judged] = []
    if not records:
        return found
    regions = detector.regions([record.image for record in records])
    for record, (boxes_Q4, embeddings_QD) in zip(records, regions, strict=True):
        open_names = set(record.not_exhaustive)
        asked = [p for p in record.phrases if p not in open_names]
        named = dict(zip(record.phrases, record.phrase_boxes, strict=True))
        asked += record.absent[:MOST_ABSENT]
        own = len(asked)
        if not record.absent:
            asked += _borrowed(detector, record.phrases, lent)
            lent.extend(record.phrases)
        if not asked:
            continue
        prompt = detector.prompt(asked)
        logits_QP = (embeddings_QD.float() @ prompt.rows_PD.T + prompt.biases_P).cpu().numpy()
        shapes_P2 = shapes(detector.vocabulary, tuple(asked))
        for place, phrase in enumerate(asked):
            logits_Q = logits_QP[:, place].astype(np.float64)
            best = np.argsort(-logits_Q, kind="stable")[:REGIONS]
            best = best[(logits_Q[best] >= LEAST_LOGIT) | (np.arange(len(best)) == 0)]
            true_N4 = record.boxes_xyxy[list(named.get(phrase, ()))]
            right = _right(boxes_Q4[best], true_N4)
            kind = bool(record.absent), len(true_N4), place >= own
            found.append(_Judged(logits_Q[best], right, shapes_P2[place], *kind))
    return found


def _borrowed(detector: OmniDet, own: Iterable[str], lent: Iterable[str]) -> list[str]:
    """Of the phrases of other pictures those that ask for something else."""
    words = detector.vocabulary
    known = {words.asked(phrase) for phrase in own}
    return [phrase for phrase in dict.fromkeys(lent) if words.asked(phrase) not in known]


def _right(boxes_K4: FloatArray, true_N4: FloatArray) -> Bools:
    """Which boxes, best first, meet a true box that none before has met."""
    right = np.zeros(len(boxes_K4), bool)
    free = np.ones(len(true_N4), bool)
    for place, box in enumerate(boxes_K4):
        if not free.any():
            break
        ious = np.where(free, iou_xyxy(box, true_N4), -1.0)
        nearest = int(ious.argmax())
        if ious[nearest] >= MIN_IOU:
            right[place], free[nearest] = True, False
    return right


def _line(judged: Sequence[_Judged], *, best_only: bool) -> Line:
    """Logistic regression on the logit and the shape of the phrase."""
    last = 1 if best_only else None
    logits = np.concatenate([one.logits[:last] for one in judged])
    right = np.concatenate([one.right[:last] for one in judged])
    counts = [len(one.logits[:last]) for one in judged]
    shapes_D2 = np.repeat([one.shape for one in judged], counts, axis=0)
    is_open_D = np.repeat([not one.is_closed for one in judged], counts)
    columns = [logits, np.ones_like(logits), *shapes_D2.T]
    if not best_only and not is_open_D.all():
        columns.append(is_open_D.astype(float))
    prior = np.zeros(len(columns))
    prior[0] = 1.0
    scale, offset, spread, context, *_ = logistic.fit(np.stack(columns, 1), right, prior)
    return Line(*(round(float(value), 6) for value in (scale, offset, spread, context)))


def _with_context(line: Line, relations: Sequence[_Judged]) -> Line:
    """The line with the offset of relations by which their scores are right where they are asked
    for in vain too; as it is if they never were.
    """
    if not any(one.is_borrowed for one in relations):
        return line
    logits = np.concatenate([one.logits for one in relations])
    right = np.concatenate([one.right for one in relations])
    counts = [len(one.logits) for one in relations]
    shapes_D2 = np.repeat([one.shape for one in relations], counts, axis=0).astype(np.float64)
    known_D = line.scale * logits + line.offset + line.spread * shapes_D2[:, 0]
    (context,) = logistic.fit(shapes_D2[:, 1:], right, np.array([line.context]), known_D)
    return dataclasses.replace(line, context=round(float(context), 6))


def _best_threshold(judged: Sequence[_Judged], line: Line) -> float:
    """The score at which F1 over all images and phrases is best, rounded down to hundredths: the
    middle of those at which it is as good as best, since chance picks one of them.
    """
    offsets = line.offsets(np.stack([one.shape for one in judged]))
    scores = np.concatenate(
        [
            line.scale * one.logits + float(offset)
            for one, offset in zip(judged, offsets, strict=True)
        ]
    )
    scores = logistic.chances(scores)
    right = np.concatenate([one.right for one in judged])
    order = np.argsort(-scores, kind="stable")
    found = np.cumsum(right[order])
    total = sum(one.true_boxes for one in judged)
    f1 = 2 * found / (np.arange(1, len(order) + 1) + total)
    good = scores[order][f1 >= f1.max() - AS_GOOD]
    middle = (good.max() + good.min()) / 2
    return float(np.clip(np.floor(middle * 100) / 100, 0.01, 0.95))
