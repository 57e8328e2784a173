"""Each detection compared with the true boxes: right or wrong, and wrong in which way.

    truth + detections --explain--> Verdicts --precision--> precision at each recall, by category

The official tools keep only sums. Here every single detection stays known, so that mistakes can be
counted and shown. What is right and what counts is decided by `judging`, as for COCO and LVIS.

Suffixes: D judged detections by falling score, T IoU thresholds, G true boxes to be found by image,
C categories, R recall points.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from omnidet.evaluation import coco, lvis
from omnidet.evaluation.average_precision import RECALLS_R
from omnidet.evaluation.box_iou import iou_xywh
from omnidet.evaluation.detections import DetectionColumns, collect
from omnidet.evaluation.judging import ALL, THRESHOLDS_T, flags, judge
from omnidet.evaluation.truth import Bools, Doubles, Truth
from omnidet.schema import IntArray

LEAST_IOU = float(THRESHOLDS_T[0])
BACKGROUND = 0.1
"""A detection of this IoU or less with every true box lies on nothing that is annotated."""
KINDS = ("localisation", "confusion", "duplicate", "background", "both")
"""Why a detection is wrong at an IoU of .5; the first condition that holds decides:

localisation: its IoU with a box of its category is at least .1 and below .5
confusion: its IoU with a box of another category is at least .5
duplicate: its IoU with a box of its category is at least .5, but a better detection has the box
background: no IoU is above .1
both: wrong in category and place

The kinds and their order are those of TIDE: Bolya et al., ECCV 2020, github.com/dbolya/tide,
`quantify.py`.
"""


@dataclass(frozen=True, eq=False)
class Verdicts:
    """What became of every detection and of every true box."""

    truth: Truth
    num_true_C: IntArray
    """True boxes to be found."""
    score_D: Doubles
    image_D: IntArray
    """Image ids."""
    category_D: IntArray
    """Index of the category in the truth, as everywhere here."""
    boxes_xywh_D4: Doubles
    found_TD: Bools
    """Whether the detection found a true box."""
    ignored_TD: Bools
    """Whether the detection counts neither for nor against: it lies on a crowd, or its category is
    not annotated in full in the image."""
    kind_D: npt.NDArray[np.int8]
    """Index into `KINDS`; -1 if the detection is right or ignored at the lowest threshold."""
    meant_D: IntArray
    """Index (G) of the true box that a better box (localisation) or another name (confusion) would
    have found, else -1."""
    true_image_G: IntArray
    """Image ids."""
    true_category_G: IntArray
    true_area_G: Doubles
    """In square pixels, as in the annotation file."""
    true_score_G: Doubles
    """Score of the detection that found the box at the lowest threshold, -inf if none did."""


def explain(truth: Truth, detections: Iterable[Mapping[str, Any]]) -> Verdicts:
    """Judge detections as the official tools do, and say what is wrong with each wrong one.

    Args:
        detections: any number of rows as `detections.Detection`. As many count as in `coco` or, if
            the truth is federated, in `lvis`.

    Raises:
        ValueError: for a detection that cannot be counted, named by its index.
    """
    found, _ = collect(detections, truth)
    if truth.is_federated:
        found = found.best(found.image_D, lvis.MAX_DETECTIONS)
    judged = judge(truth, found, lvis.MAX_DETECTIONS if truth.is_federated else coco.MOST[-1])
    # Of equal scores the first image comes first, as in the official tools.
    order = np.lexsort((judged.row_D, judged.image_D, -judged.score_D))
    found = found.select(judged.row_D[order])
    right_TD = flags(judged.right_D[order], ALL)
    ignored_TD = ~right_TD & ~flags(judged.wrong_D[order], ALL)
    wanted_G = np.flatnonzero(judged.wanted_GA[:, ALL])
    wanted_G = wanted_G[np.argsort(truth.image_G[wanted_G], kind="stable")]
    kind_D, meant_D = _kinds(truth, wanted_G, found)
    kind_D[right_TD[0] | ignored_TD[0]] = -1
    is_near_D = (kind_D == KINDS.index("localisation")) | (kind_D == KINDS.index("confusion"))
    image_ids = np.array(truth.image_ids, np.int64)
    return Verdicts(
        truth=truth,
        num_true_C=np.bincount(truth.category_G[wanted_G], minlength=len(truth.category_ids)),
        score_D=found.score_D,
        image_D=image_ids[found.image_D],
        category_D=found.category_D.astype(np.int64),
        boxes_xywh_D4=found.boxes_xywh_D4,
        found_TD=right_TD,
        ignored_TD=ignored_TD,
        kind_D=kind_D,
        meant_D=np.where(is_near_D, meant_D, -1),
        true_image_G=image_ids[truth.image_G[wanted_G]],
        true_category_G=truth.category_G[wanted_G],
        true_area_G=truth.area_G[wanted_G],
        true_score_G=judged.found_score_G[wanted_G],
    )


def _kinds(
    truth: Truth, wanted_G: IntArray, found: DetectionColumns
) -> tuple[npt.NDArray[np.int8], IntArray]:
    """The kind of each detection, if it is wrong, and the true box that it was meant for.

    The box is that of localisation or confusion, as an index into `wanted_G`.
    """
    kind_D = np.full(len(found), KINDS.index("background"), np.int8)
    meant_D = np.full(len(found), -1, np.int64)
    by_image = np.argsort(found.image_D, kind="stable")
    images = np.arange(len(truth.image_ids) + 1)
    bounds_D = np.searchsorted(found.image_D[by_image], images)
    bounds_G = np.searchsorted(truth.image_G[wanted_G], images)
    for i in range(len(truth.image_ids)):
        own, first = by_image[bounds_D[i] : bounds_D[i + 1]], int(bounds_G[i])
        true = wanted_G[first : bounds_G[i + 1]]
        if not len(own) or not len(true):
            continue
        iou_DG = iou_xywh(found.boxes_xywh_D4[own][:, None], truth.boxes_xywh_G4[true])
        same_DG = found.category_D[own][:, None] == truth.category_G[true]
        own_DG, other_DG = np.where(same_DG, iou_DG, 0.0), np.where(same_DG, 0.0, iou_DG)
        own_D, other_D = own_DG.max(1), other_DG.max(1)
        conditions = [
            (own_D >= BACKGROUND) & (own_D < LEAST_IOU),
            other_D >= LEAST_IOU,
            own_D >= LEAST_IOU,
            np.maximum(own_D, other_D) <= BACKGROUND,
        ]
        kind_D[own] = np.select(conditions, range(len(conditions)), len(conditions))
        meant_D[own] = first + np.where(conditions[0], own_DG.argmax(1), other_DG.argmax(1))
    return kind_D, meant_D


def precision(verdicts: Verdicts, threshold: int) -> Doubles:
    """Precision (R, C) at each of `RECALLS_R`, interpolated as in the official tools.

    It is NaN for a category without true boxes.

    Args:
        threshold: index into `THRESHOLDS_T`.
    """
    counts_D = ~verdicts.ignored_TD[threshold]
    return curves(
        verdicts.category_D[counts_D], verdicts.found_TD[threshold][counts_D], verdicts.num_true_C
    )


def curves(category_D: IntArray, found_D: Bools, num_true_C: IntArray) -> Doubles:
    """The same for any detections in order of falling score."""
    by_category = np.argsort(category_D, kind="stable")
    ends = np.searchsorted(category_D[by_category], np.arange(len(num_true_C) + 1))
    precision_RC = np.full((len(RECALLS_R), len(num_true_C)), np.nan)
    for c, num_true in enumerate(num_true_C):
        if num_true:
            right = np.cumsum(found_D[by_category[ends[c] : ends[c + 1]]])
            shares = right / np.arange(1, len(right) + 1)
            best = np.maximum.accumulate(shares[::-1])[::-1]
            place = np.searchsorted(right / num_true, RECALLS_R, side="left")
            precision_RC[:, c] = np.append(best, 0.0)[np.minimum(place, len(best))]
    return precision_RC
