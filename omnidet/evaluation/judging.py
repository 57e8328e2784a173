"""Truth + detections -> which detection is right, wrong or neither, at every IoU threshold and object size at once.

The rules are those of `COCOeval.evaluateImg` (pycocotools) and `LVISEval.evaluate_img` (lvis): within an image and category,
each detection, best score first, takes the free true box of highest IoU; a box that is not to be found (crowd, or of another
size) only where no other fits. All arithmetic is in doubles and in their order of operations, so the numbers are equal to
the bit; `tests/evaluation` compares them. They go through images one by one in Python; here every image takes its n-th
detection in the same step, and only pairs that can match at all are kept, so 6 million detections take minutes and 2 GB less.

Suffixes: D detections, G true boxes, P pairs of the two, T IoU thresholds, A object sizes.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from omnidet.evaluation.detections import Found
from omnidet.evaluation.truth import Bools, Doubles, Truth, contains
from omnidet.schema import IntArray

THRESHOLDS_T = np.linspace(0.5, 0.95, 10)
SIZES = ("all", "small", "medium", "large")
AREAS_A2 = np.array([[0, 1e10], [0, 32**2], [32**2, 96**2], [96**2, 1e10]])
"""Least and greatest area in square pixels, both included, as in the two packages."""
NUM_THRESHOLDS, NUM_SIZES = len(THRESHOLDS_T), len(SIZES)
PAIRS_AT_ONCE = 1_000_000
Bits = npt.NDArray[np.uint64]


@dataclass(frozen=True, eq=False)
class Judged:
    """D detections by category, best score first within each; equal scores by image, then as in their file.

    Bit `a * NUM_THRESHOLDS + t` of a mask says it for size a and threshold t.
    """

    category_D: npt.NDArray[np.int32]
    image_D: npt.NDArray[np.int32]
    score_D: Doubles
    rank_D: npt.NDArray[np.int32]
    """Place among the detections of its image and category, from 0."""
    right_D: Bits
    wrong_D: Bits
    """Neither right nor wrong is what does not count, such as a match with a crowd."""
    wanted_GA: Bools
    """Whether a true box is to be found, for each size; in the order of the truth."""


def judge(truth: Truth, found: Found, most: int) -> Judged:
    """Judge the detections.

    Args:
        most: how many of an image and category count, those of the highest score.
    """
    group_D = found.image_D.astype(np.int64) * len(truth.category_ids) + found.category_D
    if truth.judged_pairs is not None:
        known = contains(truth.judged_pairs, group_D)
        found, group_D = found.select(known), group_D[known]
    order = np.lexsort((-found.score_D, group_D))
    rank_D = _rank(group_D[order])
    order, rank_D = order[rank_D < most], rank_D[rank_D < most]
    found, group_D = found.select(order), group_D[order]
    wanted_GA = ~truth.ignored_G[:, None] & ~_outside(truth.area_G)
    matched_D, right_D = _match(truth, found, group_D, wanted_GA)
    excused_DA = _outside(found.boxes_xywh_D4[:, 2] * found.boxes_xywh_D4[:, 3])
    excused_DA |= contains(truth.not_exhaustive_pairs, group_D)[:, None]
    wrong_D = ~matched_D & _spread(~excused_DA)
    by_category = np.lexsort((-found.score_D, found.category_D))
    found = found.select(by_category)
    return Judged(
        category_D=found.category_D,
        image_D=found.image_D,
        score_D=found.score_D,
        rank_D=rank_D[by_category].astype(np.int32),
        right_D=right_D[by_category],
        wrong_D=wrong_D[by_category],
        wanted_GA=wanted_GA,
    )


def bit(size: int, threshold: int) -> np.uint64:
    """Place of a size and threshold in a mask."""
    return np.uint64(size * NUM_THRESHOLDS + threshold)


def _outside(area: Doubles) -> Bools:
    outside: Bools = (area[:, None] < AREAS_A2[:, 0]) | (area[:, None] > AREAS_A2[:, 1])
    return outside


def _spread(flags_DA: Bools) -> Bits:
    """A flag for each size -> bits for all thresholds of it."""
    whole = np.array(
        [((1 << NUM_THRESHOLDS) - 1) << (a * NUM_THRESHOLDS) for a in range(NUM_SIZES)], np.uint64
    )
    bits: Bits = np.bitwise_or.reduce(np.where(flags_DA, whole, np.uint64(0)), axis=1)
    return bits


def _pack(flags_DAT: Bools) -> Bits:
    flat = flags_DAT.reshape(len(flags_DAT), -1)
    packed: Bits = flat @ (np.uint64(1) << np.arange(flat.shape[1], dtype=np.uint64))
    return packed


def _rank(group: IntArray) -> IntArray:
    """Place of each within its run of equal values."""
    if not len(group):
        return np.zeros(0, np.int64)
    starts = np.flatnonzero(np.r_[True, group[1:] != group[:-1]])
    lengths = np.diff(np.r_[starts, len(group)])
    return np.arange(len(group)) - np.repeat(starts, lengths)


def _match(truth: Truth, found: Found, group_D: IntArray, wanted_GA: Bools) -> tuple[Bits, Bits]:
    """For each detection, sorted by group and score: bits of any match, and of a match with a box that is to be found."""
    group_G = truth.image_G * len(truth.category_ids) + truth.category_G
    order_G = np.argsort(group_G, kind="stable")
    crowd_G, boxes_G4, wanted_GA = (
        truth.crowd_G[order_G],
        truth.boxes_xywh_G4[order_G],
        wanted_GA[order_G],
    )
    first_D = np.searchsorted(group_G[order_G], group_D, "left")
    count_D = np.searchsorted(group_G[order_G], group_D, "right") - first_D
    matched_D, right_D = np.zeros(len(group_D), np.uint64), np.zeros(len(group_D), np.uint64)
    taken_GAT = np.zeros((len(group_G), NUM_SIZES, NUM_THRESHOLDS), np.bool_)
    for places in _chunks(group_D, count_D):
        det_P = np.repeat(places, count_D[places])
        true_P = np.repeat(first_D[places], count_D[places]) + _rank(det_P)
        iou_P = _iou(found.boxes_xywh_D4[det_P], boxes_G4[true_P], crowd_G[true_P])
        near = iou_P >= THRESHOLDS_T[0]
        det_P, true_P, iou_P = det_P[near], true_P[near], iou_P[near]
        preference_PA = _preference(det_P, true_P, iou_P, wanted_GA)
        # Groups are independent: the n-th detection of each that is near any true box is matched in the same step.
        new = np.r_[True, det_P[1:] != det_P[:-1]] if len(det_P) else np.zeros(0, np.bool_)
        round_P = (
            _rank(group_D[det_P[new]])[np.cumsum(new) - 1] if len(det_P) else np.zeros(0, np.int64)
        )
        by_round = np.argsort(round_P, kind="stable")
        for members in (
            np.split(by_round, np.flatnonzero(np.diff(round_P[by_round])) + 1) if len(det_P) else ()
        ):
            true, starts = true_P[members], np.flatnonzero(new[members])
            free_MAT = ~taken_GAT[true] | crowd_G[true][:, None, None]
            # As there: an IoU of exactly 1 is reached by the rounding of the boxes alone.
            near_MT = iou_P[members, None] >= np.minimum(THRESHOLDS_T, 1 - 1e-10)
            rating_MAT = np.where(
                free_MAT & near_MT[:, None, :], preference_PA[members, :, None], 0
            )
            best_DAT = np.maximum.reduceat(rating_MAT, starts, axis=0)
            lengths = np.diff(np.r_[starts, len(members)])
            chosen_MAT = (rating_MAT == np.repeat(best_DAT, lengths, axis=0)) & (rating_MAT > 0)
            taken_GAT[true] |= chosen_MAT
            rights_MAT = chosen_MAT & wanted_GA[true][:, :, None]
            det = det_P[members[starts]]
            matched_D[det] = _pack(best_DAT > 0)
            right_D[det] = _pack(np.logical_or.reduceat(rights_MAT, starts, axis=0))
    return matched_D, right_D


def _chunks(group_D: IntArray, count_D: IntArray) -> Iterator[IntArray]:
    """Places of the detections that have true boxes beside them, whole groups together, few enough for the memory."""
    places = np.flatnonzero(count_D)
    pairs = np.cumsum(count_D[places])
    while len(places):
        end = int(np.searchsorted(pairs, pairs[0] + PAIRS_AT_ONCE))
        if end < len(places):
            end = max(int(np.searchsorted(group_D[places], group_D[places[end]], "left")), 1)
        while (
            end < len(places) and group_D[places[end]] == group_D[places[end - 1]]
        ):  # one group alone is more than that
            end += 1
        yield places[:end]
        places, pairs = places[end:], pairs[end:]


def _iou(found_P4: Doubles, true_P4: Doubles, crowd_P: Bools) -> Doubles:
    """`bbIou` of pycocotools' maskApi.c, operation by operation; of a crowd, the share of the detection that lies in it."""
    left, top = (np.maximum(found_P4[:, i], true_P4[:, i]) for i in (0, 1))
    right, bottom = (
        np.minimum(found_P4[:, i + 2] + found_P4[:, i], true_P4[:, i + 2] + true_P4[:, i])
        for i in (0, 1)
    )
    width, height = right - left, bottom - top
    both = np.where((width > 0) & (height > 0), width * height, 0.0)
    area_found, area_true = (boxes[:, 2] * boxes[:, 3] for boxes in (found_P4, true_P4))
    union = np.where(crowd_P, area_found, area_found + area_true - both)
    iou: Doubles = np.divide(both, union, out=np.zeros_like(both), where=both > 0)
    return iou


def _preference(
    det_P: IntArray, true_P: IntArray, iou_P: Doubles, wanted_GA: Bools
) -> npt.NDArray[np.int32]:
    """From 1: how gladly a detection takes each of its boxes, for each size.

    One that is to be found before one that is not, then by IoU; of equal ones the last of the file, as the official loops do.
    """
    preference_PA = np.empty((len(det_P), NUM_SIZES), np.int32)
    for a in range(NUM_SIZES):
        order = np.lexsort((true_P, iou_P, wanted_GA[true_P, a], det_P))
        preference_PA[order, a] = _rank(det_P[order]) + 1
    return preference_PA
