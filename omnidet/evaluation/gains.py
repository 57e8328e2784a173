"""What each kind of mistake costs: AP50 once all of that kind are set right, less AP50 as it is.

    Verdicts --gains--> {"localisation": .05, ..., "missed": .02}

This is the dAP of TIDE (Bolya et al., ECCV 2020, section 2.3; github.com/dbolya/tide, `quantify.py`
and `errors`). To set a kind right means:

localisation, confusion: the detection becomes right, under the name of its true box, unless a
    detection has found that box or one of a higher score, of either kind, was meant for it; then it
    is removed
duplicate, background, both: the detection is removed
missed: a true box that no detection found or was meant for need not be found

What counts and what matches is decided as in pycocotools and lvis, as for all other numbers here;
TIDE counts 100 detections an image.

Suffixes: D detections by falling score, G true boxes, C categories, R recall points.
"""

from __future__ import annotations

import numpy as np

from omnidet.evaluation.mistakes import KINDS, Verdicts, curves
from omnidet.evaluation.truth import Bools, Doubles
from omnidet.schema import IntArray

MISSED = "missed"
MENDED = ("localisation", "confusion")
"""Kinds that become right if their true box is free; detections of the others are removed."""


def gains(verdicts: Verdicts) -> dict[str, float]:
    """Gain in AP50 for each of `KINDS` and for `MISSED`; never negative, as in TIDE."""
    counts_D = ~verdicts.ignored_TD[0]
    kind_D = np.where(counts_D, verdicts.kind_D, -1)
    found_D = verdicts.found_TD[0]
    first_D = _first(verdicts)
    before = _mean(curves(verdicts.category_D[counts_D], found_D[counts_D], verdicts.num_true_C))
    after = {}
    for number, kind in enumerate(KINDS):
        of_kind_D = kind_D == number
        mended_D = of_kind_D & first_D if kind in MENDED else np.zeros_like(of_kind_D)
        category_D = verdicts.category_D.copy()
        category_D[mended_D] = verdicts.true_category_G[verdicts.meant_D[mended_D]]
        kept_D = counts_D & (~of_kind_D | mended_D)
        after[kind] = _mean(
            curves(category_D[kept_D], (found_D | mended_D)[kept_D], verdicts.num_true_C)
        )
    after[MISSED] = _without_missed(verdicts, counts_D)
    return {kind: max(0.0, value - before) for kind, value in after.items()}


def _first(verdicts: Verdicts) -> Bools:
    """Which detections would find a free true box: for each box, the one of the highest score."""
    meant = np.flatnonzero(verdicts.meant_D >= 0)
    _, first = np.unique(verdicts.meant_D[meant], return_index=True)
    first_D: Bools = np.zeros(len(verdicts.meant_D), np.bool_)
    first_D[meant[first]] = True
    free_G = np.append(verdicts.true_score_G == -np.inf, False)
    first_D &= free_G[verdicts.meant_D]
    return first_D


def _without_missed(verdicts: Verdicts, counts_D: Bools) -> float:
    missed_G = verdicts.true_score_G == -np.inf
    missed_G[verdicts.meant_D[verdicts.meant_D >= 0]] = False
    left_C: IntArray = verdicts.num_true_C - np.bincount(
        verdicts.true_category_G[missed_G], minlength=len(verdicts.num_true_C)
    )
    category_D = verdicts.category_D[counts_D]
    precision_RC = curves(category_D, verdicts.found_TD[0][counts_D], left_C)
    # As in TIDE: a category with nothing left to find has AP 0 if it is detected, else it does not
    # count.
    emptied_C = (verdicts.num_true_C > 0) & (left_C == 0)
    precision_RC[:, emptied_C & (np.bincount(category_D, minlength=len(left_C)) > 0)] = 0
    return _mean(precision_RC)


def _mean(precision_RC: Doubles) -> float:
    return float(np.nanmean(precision_RC)) if np.isfinite(precision_RC).any() else 0.0
