"""Truth + detections -> is each detection right, wrong or neither, for each IoU threshold and size?

The rules are those of `COCOeval.evaluateImg` (pycocotools) and `LVISEval.evaluate_img` (lvis).
Within an image and category, each detection, best score first, takes the free true box of highest
IoU. It takes a box that is not to be found (a crowd, or a box of another size) only if no other
fits. All arithmetic is in doubles and in their order of operations, so the numbers are equal to the
bit; `tests/evaluation/test_official.py` compares them. The official tools go through images one by
one in Python. Here every image matches its n-th detection in the same step, and only pairs that can
match are kept, so 6 million detections take minutes and 2 GB less memory.

Suffixes: D detections, G true boxes, P pairs of the two, M pairs of one step, T IoU thresholds,
A object sizes.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from omnidet.evaluation.box_iou import iou_xywh
from omnidet.evaluation.detections import DetectionColumns, rank
from omnidet.evaluation.truth import Bools, Doubles, Truth, contains
from omnidet.schema import IntArray

THRESHOLDS_T = np.linspace(0.5, 0.95, 10)
SIZES = ("all", "small", "medium", "large")
ALL = SIZES.index("all")
AREAS_A2 = np.array([[0, 1e10], [0, 32**2], [32**2, 96**2], [96**2, 1e10]])
"""Smallest and largest area of each size in square pixels, both inclusive, as in both packages."""
NUM_THRESHOLDS, NUM_SIZES = len(THRESHOLDS_T), len(SIZES)
PAIRS_AT_ONCE = 1_000_000
Bits = npt.NDArray[np.uint64]


@dataclass(frozen=True, eq=False)
class Judged:
    """The detections that count, by category and then by falling score.

    Equal scores are ordered by image and then as they were given. In a mask, bit
    `a * NUM_THRESHOLDS + t` holds the answer for size a and threshold t; `flags` unpacks it.
    """

    row_D: npt.NDArray[np.int32]
    """Index of the detection among those that were given."""
    category_D: npt.NDArray[np.int32]
    image_D: npt.NDArray[np.int32]
    score_D: Doubles
    rank_D: npt.NDArray[np.int32]
    """Position among the detections of its image and category, from 0."""
    right_D: Bits
    wrong_D: Bits
    """A detection that does not count, such as a match with a crowd, is neither right nor wrong."""
    wanted_GA: Bools
    """Whether a true box is to be found, for each size; in the order of the truth."""
    found_score_G: Doubles
    """Score of the detection that found the box at the lowest threshold, sizes aside; else -inf."""


def judge(truth: Truth, found: DetectionColumns, most: int) -> Judged:
    """Judge the detections.

    Args:
        most: how many detections of an image and category count: those of the highest score.
    """
    row_D = np.arange(len(found), dtype=np.int32)
    group_D = found.image_D.astype(np.int64) * len(truth.category_ids) + found.category_D
    if truth.judged_pairs is not None:
        known = contains(truth.judged_pairs, group_D)
        # lvis leaves out boxes without an area; for pycocotools they are wrong.
        known &= found.boxes_xywh_D4[:, 2] * found.boxes_xywh_D4[:, 3] > 0
        row_D, group_D = row_D[known], group_D[known]
    order = np.lexsort((-found.score_D[row_D], group_D))
    rank_D = rank(group_D[order])
    order, rank_D = order[rank_D < most], rank_D[rank_D < most]
    row_D, group_D = row_D[order], group_D[order]
    found = found.select(row_D)
    wanted_GA = ~truth.ignored_G[:, None] & ~_outside(truth.area_G)
    matched_D, right_D, finder_G = _match(truth, found, group_D, wanted_GA)
    excused_DA = _outside(found.boxes_xywh_D4[:, 2] * found.boxes_xywh_D4[:, 3])
    excused_DA |= contains(truth.not_exhaustive_pairs, group_D)[:, None]
    wrong_D = ~matched_D & _spread(~excused_DA)
    by_category = np.lexsort((-found.score_D, found.category_D))
    return Judged(
        row_D=row_D[by_category],
        category_D=found.category_D[by_category],
        image_D=found.image_D[by_category],
        score_D=found.score_D[by_category],
        rank_D=rank_D[by_category].astype(np.int32),
        right_D=right_D[by_category],
        wrong_D=wrong_D[by_category],
        wanted_GA=wanted_GA,
        found_score_G=np.where(finder_G >= 0, np.append(found.score_D, -np.inf)[finder_G], -np.inf),
    )


def flags(bits_D: Bits, size: int) -> Bools:
    """The answers (T, D) of a mask for one size."""
    places = np.arange(NUM_THRESHOLDS, dtype=np.uint64) + np.uint64(size * NUM_THRESHOLDS)
    unpacked: Bools = (bits_D >> places[:, None] & np.uint64(1)).astype(np.bool_)
    return unpacked


def _outside(area: Doubles) -> Bools:
    outside: Bools = (area[:, None] < AREAS_A2[:, 0]) | (area[:, None] > AREAS_A2[:, 1])
    return outside


def _spread(flags_DA: Bools) -> Bits:
    """One flag for each size -> the bits of all its thresholds."""
    whole = np.array(
        [((1 << NUM_THRESHOLDS) - 1) << (a * NUM_THRESHOLDS) for a in range(NUM_SIZES)], np.uint64
    )
    bits: Bits = np.bitwise_or.reduce(np.where(flags_DA, whole, np.uint64(0)), axis=1)
    return bits


def _pack(flags_DAT: Bools) -> Bits:
    flat = flags_DAT.reshape(len(flags_DAT), -1)
    packed: Bits = flat @ (np.uint64(1) << np.arange(flat.shape[1], dtype=np.uint64))
    return packed


def _match(
    truth: Truth, found: DetectionColumns, group_D: IntArray, wanted_GA: Bools
) -> tuple[Bits, Bits, IntArray]:
    """Match detections that are sorted by group and score.

    Returns for each detection the bits of any match and of a match with a box that is to be found,
    and for each true box the detection that found it at the lowest threshold, or -1.
    """
    group_G = truth.image_G * len(truth.category_ids) + truth.category_G
    order_G = np.argsort(group_G, kind="stable")
    crowd_G, boxes_G4 = truth.crowd_G[order_G], truth.boxes_xywh_G4[order_G]
    wanted_GA = wanted_GA[order_G]
    first_D = np.searchsorted(group_G[order_G], group_D, "left")
    count_D = np.searchsorted(group_G[order_G], group_D, "right") - first_D
    matched_D, right_D = np.zeros(len(group_D), np.uint64), np.zeros(len(group_D), np.uint64)
    taken_GAT = np.zeros((len(group_G), NUM_SIZES, NUM_THRESHOLDS), np.bool_)
    finder_G = np.full(len(group_G), -1, np.int64)
    for places in _chunks(group_D, count_D):
        det_P = np.repeat(places, count_D[places])
        true_P = np.repeat(first_D[places], count_D[places]) + rank(det_P)
        iou_P = iou_xywh(found.boxes_xywh_D4[det_P], boxes_G4[true_P], crowd_G[true_P])
        near = iou_P >= THRESHOLDS_T[0]
        det_P, true_P, iou_P = det_P[near], true_P[near], iou_P[near]
        preference_PA = _preference(det_P, true_P, iou_P, wanted_GA)
        for members in _steps(det_P, group_D):
            det_M, true_M = det_P[members], true_P[members]
            starts = np.flatnonzero(np.r_[True, det_M[1:] != det_M[:-1]])
            free_MAT = ~taken_GAT[true_M] | crowd_G[true_M][:, None, None]
            # The official tools do so: rounding of the boxes alone can prevent an IoU of exactly 1.
            near_MT = iou_P[members, None] >= np.minimum(THRESHOLDS_T, 1 - 1e-10)
            fits_MAT = free_MAT & near_MT[:, None, :]
            rating_MAT = np.where(fits_MAT, preference_PA[members, :, None], 0)
            best_DAT = np.maximum.reduceat(rating_MAT, starts, axis=0)
            lengths = np.diff(np.r_[starts, len(members)])
            chosen_MAT = (rating_MAT == np.repeat(best_DAT, lengths, axis=0)) & (rating_MAT > 0)
            taken_GAT[true_M] |= chosen_MAT
            finds_M = chosen_MAT[:, ALL, 0]
            finder_G[true_M[finds_M]] = det_M[finds_M]
            rights_MAT = chosen_MAT & wanted_GA[true_M][:, :, None]
            matched_D[det_M[starts]] = _pack(best_DAT > 0)
            right_D[det_M[starts]] = _pack(np.logical_or.reduceat(rights_MAT, starts, axis=0))
    in_order_G = np.empty_like(finder_G)
    in_order_G[order_G] = finder_G
    return matched_D, right_D, in_order_G


def _chunks(group_D: IntArray, count_D: IntArray) -> Iterator[IntArray]:
    """Detections whose group has true boxes: whole groups, about `PAIRS_AT_ONCE` pairs a chunk."""
    places = np.flatnonzero(count_D)
    pairs = np.cumsum(count_D[places])
    while len(places):
        end = int(np.searchsorted(pairs, pairs[0] + PAIRS_AT_ONCE))
        if end < len(places):
            end = max(int(np.searchsorted(group_D[places], group_D[places[end]], "left")), 1)
        # A single group may hold more pairs than that.
        while end < len(places) and group_D[places[end]] == group_D[places[end - 1]]:
            end += 1
        yield places[:end]
        places, pairs = places[end:], pairs[end:]


def _steps(det_P: IntArray, group_D: IntArray) -> Iterator[IntArray]:
    """The pairs of the first detection of every group, then of every second one, and so on.

    Groups are independent of one another, so one step can match a detection of each.
    """
    if not len(det_P):
        return
    new = np.r_[True, det_P[1:] != det_P[:-1]]
    step_P = rank(group_D[det_P[new]])[np.cumsum(new) - 1]
    by_step = np.argsort(step_P, kind="stable")
    yield from np.split(by_step, np.flatnonzero(np.diff(step_P[by_step])) + 1)


def _preference(
    det_P: IntArray, true_P: IntArray, iou_P: Doubles, wanted_GA: Bools
) -> npt.NDArray[np.int32]:
    """How much a detection prefers each of its boxes, from 1, for each size.

    Boxes to be found come before the others, then IoU decides; of equals the last of the file is
    taken, as in the official loops.
    """
    preference_PA = np.empty((len(det_P), NUM_SIZES), np.int32)
    for a in range(NUM_SIZES):
        order = np.lexsort((true_P, iou_P, wanted_GA[true_P, a], det_P))
        preference_PA[order, a] = rank(det_P[order]) + 1
    return preference_PA
