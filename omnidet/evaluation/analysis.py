"""Where a detector is good and where it fails, from its predictions and the ground truth.

    annotation file + detections    --names-->   NamesAnalysis
    phrases with boxes + predictions --phrases--> PhraseAnalysis

What the benchmarks sum up in a few numbers is taken apart here: by category and size, by kind of mistake, by confidence, by
image. `values` of either gives the flat numbers to follow from run to run.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from omnidet.data.vocabulary import is_relational
from omnidet.evaluation import gains, mistakes
from omnidet.evaluation.average_precision import RECALLS_R
from omnidet.evaluation.judging import THRESHOLDS_T
from omnidet.evaluation.mistakes import BACKGROUND, KINDS, LEAST_IOU, Verdicts
from omnidet.evaluation.truth import Bools, Doubles, Truth
from omnidet.schema import FloatArray, IntArray

CURVES = (0, 5, 8)
"""Indices of the overlaps whose precision-recall curves are kept: .50, .75, .90."""
SIZES = {"small": (0.0, 32.0**2), "medium": (32.0**2, 96.0**2), "large": (96.0**2, np.inf)}
"""COCO's areas in pixels."""
FREQUENCIES = {"r": "rare", "c": "common", "f": "frequent"}
BINS = 10
LEAST_SCORE = 0.1
"""Detections below are left out of the calibration: a detector gives any number of them, all wrong and all said to be so."""
WORDS = {
    "1 or 2 words": (1, 2),
    "3 or 4 words": (3, 4),
    "5 to 7 words": (5, 7),
    "8 words or more": (8, 10**9),
}
NUM_CONFUSIONS = 8


@dataclass(frozen=True, eq=False)
class Calibration:
    """Whether a score of .7 means right in 7 of 10 cases: bins of the score, each with those that fall into it."""

    count_B: IntArray
    score_B: Doubles
    """Mean score; 0 in an empty bin."""
    right_B: Doubles
    """Share that is right."""
    least_score: float

    @property
    def error(self) -> float:
        """Expected calibration error: mean distance of score and share, weighted by count (Guo et al., ICML 2017)."""
        total = self.count_B.sum()
        return (
            float((self.count_B * np.abs(self.score_B - self.right_B)).sum() / total)
            if total
            else 0.0
        )


@dataclass(frozen=True)
class Category:
    """How well one name is found."""

    name: str
    average_precision: float
    """Over overlaps .50:.05:.95."""
    average_precision_50: float
    true_boxes: int
    frequency: str
    """`rare`, `common` or `frequent` in training; empty where the file does not say."""


@dataclass(frozen=True)
class Outcome:
    """What became of an image at the working point."""

    right: int
    wrong: int
    missed: int


@dataclass(frozen=True)
class Shown:
    """A detection at the working point."""

    box_xyxy: tuple[float, float, float, float]
    name: str
    score: float
    mistake: str
    """Its kind; empty where it is right."""


@dataclass(frozen=True, eq=False)
class NamesAnalysis:
    """Boxes by class name. Unless said otherwise a box is found at overlap .5."""

    curves: Mapping[str, Doubles]
    """Overlap, as `IoU .50` -> precision at each of `average_precision.RECALLS_R`, mean over categories."""
    categories: tuple[Category, ...]
    """Those with true boxes, best first."""
    sizes: Mapping[str, int]
    """True boxes by size."""
    threshold: float
    """The working point: the score from which on F1 over all detections is largest."""
    precision: float
    recall: float
    mistakes: Mapping[str, int]
    """Wrong detections at the working point, by kind."""
    gains: Mapping[str, float]
    """How much AP50 would rise with all mistakes of a kind set right, of any score, and with nothing missed: TIDE's dAP."""
    missed: int
    """True boxes not found at the working point."""
    confusions: tuple[tuple[str, str, int], ...]
    """(found name, true name, count) of the most frequent confusions at the working point."""
    calibration: Calibration
    outcomes: Mapping[int, Outcome]
    """By image id."""
    verdicts: Verdicts
    called: tuple[str, ...]
    """Words of each of the verdicts' categories."""

    def shown(self, image_id: int) -> list[Shown]:
        """The detections of an image at the working point, best first."""
        chosen_D = (self.verdicts.image_D == image_id) & (self.verdicts.score_D >= self.threshold)
        return [
            self._shown(int(d)) for d in np.flatnonzero(chosen_D & ~self.verdicts.ignored_TD[0])
        ]

    def _shown(self, d: int) -> Shown:
        x, y, width, height = self.verdicts.boxes_xywh_D4[d].tolist()
        kind = self.verdicts.kind_D[d]
        name, score = self.called[self.verdicts.category_D[d]], float(self.verdicts.score_D[d])
        return Shown((x, y, x + width, y + height), name, score, KINDS[kind] if kind >= 0 else "")

    def values(self) -> dict[str, float]:
        """Flat numbers; the shares of mistakes are of all detections at the working point."""
        total = sum(o.right + o.wrong for o in self.outcomes.values())
        numbers = {"precision": self.precision, "recall": self.recall, "threshold": self.threshold}
        numbers |= {f"error_{kind}": count / max(total, 1) for kind, count in self.mistakes.items()}
        return numbers | {"calibration_error": self.calibration.error}


@dataclass(frozen=True, eq=False)
class PhraseTruth:
    """A phrase, its boxes and all that is annotated in its image."""

    image_id: str
    phrase: str
    boxes_xyxy: FloatArray
    """(n, 4) in pixels; any of them is right."""
    others_xyxy: FloatArray
    """(m, 4), the other boxes of the image."""


@dataclass(frozen=True, eq=False)
class PhraseAnalysis:
    """The best box for each phrase."""

    curve: Doubles
    """Share of phrases whose best box reaches each of `average_precision.RECALLS_R` as overlap."""
    groups: Mapping[str, tuple[float, int]]
    """Group of phrases -> share found at overlap .5, number of phrases."""
    mistakes: Mapping[str, int]
    """Wrong best boxes: near the true one (localisation), on another annotated box (confusion), or elsewhere."""
    calibration: Calibration
    overlap_P: Doubles
    """Of the best box of each phrase with its nearest true one, in the order given."""
    score_P: Doubles

    def values(self) -> dict[str, float]:
        """Flat numbers; the shares of mistakes are of all phrases."""
        total = max(len(self.overlap_P), 1)
        numbers = {f"error_{kind}": count / total for kind, count in self.mistakes.items()}
        return numbers | {"calibration_error": self.calibration.error}


def names(
    truth: Truth, detections: Iterable[Mapping[str, Any]], words: Mapping[int, str]
) -> NamesAnalysis:
    """Take detections by class name apart.

    Args:
        detections: rows of `image_id`, `category_id`, `bbox`, `score`.
        words: what the detector was asked for, by category id; other categories are called as in the file.

    Raises:
        ValueError: for rows that do not belong to the file.
    """
    verdicts = mistakes.explain(truth, detections)
    called = [words.get(i, name) for i, name in zip(truth.category_ids, truth.names, strict=True)]
    precision_TRC = np.stack([mistakes.precision(verdicts, t) for t in range(len(THRESHOLDS_T))])
    threshold, precision, recall = _working_point(verdicts)
    counts_D = ~verdicts.ignored_TD[0]
    shown_D = counts_D & (verdicts.score_D >= threshold)
    return NamesAnalysis(
        curves={_overlap(t): _mean_over_categories(precision_TRC[t]) for t in CURVES},
        categories=_categories(verdicts, called, precision_TRC),
        sizes={
            name: int(((verdicts.true_area_G >= low) & (verdicts.true_area_G < high)).sum())
            for name, (low, high) in SIZES.items()
        },
        threshold=threshold,
        precision=precision,
        recall=recall,
        mistakes={kind: int((verdicts.kind_D[shown_D] == k).sum()) for k, kind in enumerate(KINDS)},
        gains=gains.gains(verdicts),
        missed=int((verdicts.true_score_G < threshold).sum()),
        confusions=_confusions(verdicts, called, shown_D),
        calibration=calibration(
            verdicts.score_D[counts_D], verdicts.found_TD[0][counts_D], LEAST_SCORE
        ),
        outcomes=_outcomes(verdicts, shown_D, threshold, truth.image_ids),
        verdicts=verdicts,
        called=tuple(called),
    )


def phrases(
    truths: Sequence[PhraseTruth], boxes_xyxy: FloatArray, scores: FloatArray
) -> PhraseAnalysis:
    """Take the best box (P, 4) for each phrase apart, with its score (P,); phrases without boxes are left out before."""
    overlap_P, other_P = (
        _best_overlaps(truths, boxes_xyxy, own=True),
        _best_overlaps(truths, boxes_xyxy, own=False),
    )
    right_P = overlap_P >= LEAST_IOU
    relational_P = np.array([is_relational(t.phrase) for t in truths], bool)
    length_P = np.array([len(t.phrase.split()) for t in truths], int)
    members = {
        "all": np.ones(len(truths), bool),
        "plain": ~relational_P,
        "relational": relational_P,
    }
    members |= {name: (length_P >= low) & (length_P <= high) for name, (low, high) in WORDS.items()}
    kinds = {
        "localisation": ~right_P & (overlap_P >= BACKGROUND),
        "confusion": ~right_P & (overlap_P < BACKGROUND) & (other_P >= LEAST_IOU),
    }
    kinds["elsewhere"] = ~right_P & ~kinds["localisation"] & ~kinds["confusion"]
    return PhraseAnalysis(
        curve=np.array(
            [(overlap_P >= least).mean() if len(overlap_P) else 0.0 for least in RECALLS_R]
        ),
        groups={
            name: (float(right_P[m].mean()), int(m.sum())) for name, m in members.items() if m.any()
        },
        mistakes={kind: int(m.sum()) for kind, m in kinds.items()},
        calibration=calibration(np.asarray(scores, np.float64), right_P, 0.0),
        overlap_P=overlap_P,
        score_P=np.asarray(scores, np.float64),
    )


def calibration(score_D: Doubles, right_D: Bools, least_score: float) -> Calibration:
    """Bins of equal width over the scores from `least_score` on."""
    score_D, right_D = score_D[score_D >= least_score], right_D[score_D >= least_score]
    bin_D = np.clip((score_D * BINS).astype(int), 0, BINS - 1)
    count_B = np.bincount(bin_D, minlength=BINS)
    divisor_B = np.maximum(count_B, 1)
    score_B = np.bincount(bin_D, score_D, BINS) / divisor_B
    return Calibration(count_B, score_B, np.bincount(bin_D, right_D, BINS) / divisor_B, least_score)


def _overlap(index: int) -> str:
    return f"IoU {THRESHOLDS_T[index]:.2f}".replace("0.", ".")


def _mean_over_categories(precision_RC: Doubles) -> Doubles:
    known = np.isfinite(precision_RC[0])
    return precision_RC[:, known].mean(1) if known.any() else np.zeros(len(precision_RC))


def _categories(
    verdicts: Verdicts, called: Sequence[str], precision_TRC: Doubles
) -> tuple[Category, ...]:
    frequencies = verdicts.truth.frequencies
    found = [
        Category(
            name=called[c],
            average_precision=float(precision_TRC[:, :, c].mean()),
            average_precision_50=float(precision_TRC[0, :, c].mean()),
            true_boxes=int(num_true),
            frequency=FREQUENCIES[frequencies[c]] if frequencies else "",
        )
        for c, num_true in enumerate(verdicts.num_true_C)
        if num_true
    ]
    return tuple(sorted(found, key=lambda c: (-c.average_precision, c.name)))


def _working_point(verdicts: Verdicts) -> tuple[float, float, float]:
    """Score, precision and recall where F1 over all categories together is largest."""
    counts_D = ~verdicts.ignored_TD[0]
    score_D = verdicts.score_D[counts_D]
    if not len(score_D) or not len(verdicts.true_score_G):
        return 1.0, 0.0, 0.0
    right_D = np.cumsum(verdicts.found_TD[0][counts_D])
    f1_D = 2 * right_D / (np.arange(1, len(right_D) + 1) + len(verdicts.true_score_G))
    f1_D[:-1][score_D[:-1] == score_D[1:]] = -1  # a threshold cannot part equal scores
    best = int(f1_D.argmax())
    return (
        float(score_D[best]),
        float(right_D[best] / (best + 1)),
        float(right_D[best] / len(verdicts.true_score_G)),
    )


def _confusions(
    verdicts: Verdicts, called: Sequence[str], shown_D: Bools
) -> tuple[tuple[str, str, int], ...]:
    chosen_D = shown_D & (verdicts.kind_D == KINDS.index("confusion"))
    true_D = verdicts.true_category_G[verdicts.meant_D[chosen_D]]
    pairs, counts = np.unique(
        np.stack([verdicts.category_D[chosen_D], true_D]), axis=1, return_counts=True
    )
    most = np.argsort(-counts, kind="stable")[:NUM_CONFUSIONS]
    return tuple((called[pairs[0, i]], called[pairs[1, i]], int(counts[i])) for i in most)


def _outcomes(
    verdicts: Verdicts, shown_D: Bools, threshold: float, image_ids: Sequence[int]
) -> dict[int, Outcome]:
    right_D = shown_D & verdicts.found_TD[0]
    groups = (
        verdicts.image_D[right_D],
        verdicts.image_D[shown_D & ~right_D],
        verdicts.true_image_G[verdicts.true_score_G < threshold],
    )
    counted = [
        dict(zip(*(v.tolist() for v in np.unique(g, return_counts=True)), strict=True))
        for g in groups
    ]
    return {i: Outcome(*(count.get(i, 0) for count in counted)) for i in image_ids}


def _best_overlaps(truths: Sequence[PhraseTruth], boxes_xyxy: FloatArray, *, own: bool) -> Doubles:
    import torch

    from omnidet.boxes import iou

    best = np.zeros(len(truths))
    for p, (truth, box) in enumerate(zip(truths, boxes_xyxy, strict=True)):
        rivals = truth.boxes_xyxy if own else truth.others_xyxy
        if len(rivals):
            # Doubles, so that an overlap of exactly one half is not lost to rounding.
            found, true = (torch.from_numpy(np.asarray(b, np.float64)) for b in (box, rivals))
            best[p] = float(iou(found, true).max())
    return best
