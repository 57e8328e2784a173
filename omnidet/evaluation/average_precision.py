"""Judged detections -> precision and recall of each category, and AP on resampled images.

Accumulated as in `COCOeval.accumulate` (pycocotools) and `LVISEval.accumulate` (lvis), which agree.

Suffixes: K categories, T IoU thresholds, R recall points, A object sizes, I images, B resamples,
N detections of a category, M limits on how many detections count.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import sparse

from omnidet.evaluation.judging import (
    ALL,
    NUM_SIZES,
    NUM_THRESHOLDS,
    THRESHOLDS_T,
    Judged,
    flags,
)
from omnidet.evaluation.truth import Bools, Doubles, Truth

RECALLS_R = np.linspace(0.0, 1.0, 101)


@dataclass(frozen=True, eq=False)
class Curves:
    """Precision and recall; -1 if there is nothing to find."""

    precision_TRKA: Doubles
    recall_TKAM: Doubles
    """For each limit on how many detections of an image and category count."""

    def mean_precision(
        self, size: int = ALL, threshold: int | None = None, categories: Bools | None = None
    ) -> float:
        """Mean over what is defined, or -1."""
        chosen = self.precision_TRKA[..., size]
        chosen = chosen if threshold is None else chosen[threshold]
        return _mean(chosen if categories is None else chosen[..., categories])

    def mean_recall(self, size: int = ALL, most: int = -1) -> float:
        """Mean of the highest recall over thresholds and categories."""
        return _mean(self.recall_TKAM[:, :, size, most])

    def by_category(self, names: Sequence[str]) -> dict[str, float | None]:
        """Average precision of each category; None if it has no box to find."""
        values = (_mean(self.precision_TRKA[:, :, k, ALL]) for k in range(len(names)))
        return {
            name: value if value > -1 else None for name, value in zip(names, values, strict=True)
        }


def _mean(values: Doubles) -> float:
    defined = values[values > -1]
    return float(defined.mean()) if defined.size else -1.0


def accumulate(truth: Truth, judged: Judged, most: Sequence[int]) -> Curves:
    """Curves of every category.

    Args:
        most: for recall, how many detections of an image and category count. Precision counts all
            that were judged.
    """
    num_categories = len(truth.category_ids)
    precision_TRKA = -np.ones((NUM_THRESHOLDS, len(RECALLS_R), num_categories, NUM_SIZES))
    recall_TKAM = -np.ones((NUM_THRESHOLDS, num_categories, NUM_SIZES, len(most)))
    to_find_KA = _to_find(truth, judged)
    bounds = np.searchsorted(judged.category_D, np.arange(num_categories + 1))
    for k in range(num_categories):
        own = slice(bounds[k], bounds[k + 1])
        rank_N = judged.rank_D[own]
        for a in np.flatnonzero(to_find_KA[k]):
            right_TN = flags(judged.right_D[own], int(a))
            wrong_TN = flags(judged.wrong_D[own], int(a))
            precision_TRKA[:, :, k, a] = _precision(right_TN, wrong_TN, int(to_find_KA[k, a]))
            for m, limit in enumerate(most):
                recall_TKAM[:, k, a, m] = right_TN[:, rank_N < limit].sum(1) / to_find_KA[k, a]
    return Curves(precision_TRKA, recall_TKAM)


def _to_find(truth: Truth, judged: Judged) -> npt.NDArray[np.int64]:
    counts = [
        np.bincount(truth.category_G, judged.wanted_GA[:, a], len(truth.category_ids))
        for a in range(NUM_SIZES)
    ]
    return np.stack(counts, axis=1).astype(np.int64)


def _precision(right_TN: Bools, wrong_TN: Bools, to_find: int) -> Doubles:
    """Precision (T, R) at each recall point: the best at that recall or any higher one."""
    rights, wrongs = np.cumsum(right_TN, 1, np.float64), np.cumsum(wrong_TN, 1, np.float64)
    recall, precision = rights / to_find, rights / (wrongs + rights + np.spacing(1))
    envelope = np.maximum.accumulate(precision[:, ::-1], axis=1)[:, ::-1]
    at_recall = np.zeros((len(THRESHOLDS_T), len(RECALLS_R)))
    for t in range(len(THRESHOLDS_T)):
        place = np.searchsorted(recall[t], RECALLS_R, "left")
        reached = place < recall.shape[1]
        at_recall[t, reached] = envelope[t, place[reached]]
    return at_recall


def resampled(truth: Truth, judged: Judged, weights_BI: npt.NDArray[np.float64]) -> Doubles:
    """AP (B, K, T) of each category with every image weighted; NaN if no image has a box of it."""
    num_categories, num_resamples = len(truth.category_ids), len(weights_BI)
    values_BKT = np.full((num_resamples, num_categories, NUM_THRESHOLDS), np.nan)
    weights_IB = np.ascontiguousarray(weights_BI.T)
    bounds = np.searchsorted(judged.category_D, np.arange(num_categories + 1))
    wanted_G = judged.wanted_GA[:, ALL]
    order_G = np.argsort(truth.category_G[wanted_G], kind="stable")
    image_G, category_G = truth.image_G[wanted_G][order_G], truth.category_G[wanted_G][order_G]
    true_bounds = np.searchsorted(category_G, np.arange(num_categories + 1))
    for k in range(num_categories):
        to_find_B = weights_IB[image_G[true_bounds[k] : true_bounds[k + 1]]].sum(0)
        if to_find_B.any():
            own = slice(bounds[k], bounds[k + 1])
            right_TN, wrong_TN = flags(judged.right_D[own], ALL), flags(judged.wrong_D[own], ALL)
            values_BKT[:, k] = _resampled_category(
                right_TN, wrong_TN, judged.image_D[own], weights_IB, to_find_B
            )
    return values_BKT


def _resampled_category(
    right_TN: Bools,
    wrong_TN: Bools,
    image_N: npt.NDArray[np.int32],
    weights_IB: Doubles,
    to_find_B: Doubles,
) -> Doubles:
    """AP (B, T) of one category.

    Recall and the best precision change at right detections only, so the wrong ones between two
    right ones are summed.
    """
    values_BT = np.zeros((len(to_find_B), NUM_THRESHOLDS))
    with np.errstate(invalid="ignore", divide="ignore"):
        for t in range(NUM_THRESHOLDS):
            right, wrong = np.flatnonzero(right_TN[t]), np.flatnonzero(wrong_TN[t])
            if not len(right):
                values_BT[:, t] = np.where(to_find_B > 0, 0.0, np.nan)
                continue
            segment = np.searchsorted(right, wrong)
            before = segment < len(right)
            place = (segment[before], image_N[wrong[before]])
            between = sparse.csr_array(
                (np.ones(len(place[0])), place), shape=(len(right), len(weights_IB))
            )
            wrongs = np.cumsum(between @ weights_IB, axis=0)
            rights = np.cumsum(weights_IB[image_N[right]], axis=0)
            precision = np.nan_to_num(rights / (rights + wrongs))
            envelope = np.maximum.accumulate(precision[::-1], axis=0)[::-1]
            recall = np.nan_to_num(rights / to_find_B)
            last = np.floor(recall * (len(RECALLS_R) - 1) + 1e-9).astype(np.int64)
            # How many recall points are reached.
            points = (last + 1 - (RECALLS_R[last] > recall)).astype(np.float64)
            points[1:] -= points[:-1].copy()
            values_BT[:, t] = np.where(
                to_find_B > 0, (envelope * points).sum(0) / len(RECALLS_R), np.nan
            )
    return values_BT
