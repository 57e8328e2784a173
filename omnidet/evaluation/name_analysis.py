"""Where a detector is good and where it fails with class names.

    annotation file + detections --analyse--> NameAnalysis

A benchmark sums up in a few numbers what is separated here: by category and size, by kind of
mistake, by confidence, by image. `values` gives flat numbers to follow from run to run.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from omnidet.evaluation import doubles, gains, mistakes
from omnidet.evaluation.calibration import Calibration, calibrate
from omnidet.evaluation.judging import AREAS_A2, SIZES, THRESHOLDS_T
from omnidet.evaluation.mistakes import KINDS, Verdicts
from omnidet.evaluation.truth import Bools, Doubles, Truth

CURVES = (0, 5, 8)
"""Indices of the IoU thresholds whose precision-recall curves are kept: .50, .75, .90."""
FREQUENCIES = {"r": "rare", "c": "common", "f": "frequent"}
LEAST_SCORE = 0.1
"""Detections of a lower score are left out of the calibration. A detector returns as many as it is
asked for, and nearly all are wrong, as their scores say."""
NUM_CONFUSIONS = 8


@dataclass(frozen=True)
class Category:
    """How well one name is found."""

    name: str
    average_precision: float
    """Mean over the IoU thresholds .50:.05:.95."""
    average_precision_50: float
    true_boxes: int
    frequency: str
    """`rare`, `common` or `frequent` in training; empty if the file does not say."""


@dataclass(frozen=True)
class Outcome:
    """How many boxes of an image were right, wrong or missed at the working point."""

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
    """The kind of mistake; empty if the detection is right."""


@dataclass(frozen=True, eq=False)
class NameAnalysis:
    """Boxes by class name. Unless said otherwise, a box is found at an IoU of .5."""

    curves: Mapping[str, Doubles]
    """Threshold, such as `IoU .50` -> precision at each of `average_precision.RECALLS_R`, mean over
    categories."""
    categories: tuple[Category, ...]
    """The categories with true boxes, best first."""
    sizes: Mapping[str, int]
    """True boxes by size."""
    threshold: float
    """The working point: the least score that counts, at which F1 over all detections is best."""
    precision: float
    recall: float
    mistakes: Mapping[str, int]
    """Wrong detections at the working point, by kind."""
    gains: Mapping[str, float]
    """How much AP50 would rise without the mistakes of a kind, at any score, and without missed
    boxes: dAP of TIDE."""
    missed: int
    """True boxes not found at the working point."""
    confusions: tuple[tuple[str, str, int], ...]
    """(found name, true name, count) of the most frequent confusions at the working point."""
    doubles: float
    """Share of images where two detections of a name frame the same thing at the working point."""
    calibration: Calibration
    outcomes: Mapping[int, Outcome]
    """By image id."""
    verdicts: Verdicts
    called: tuple[str, ...]
    """What each category is called."""

    def shown(self, image_id: int) -> list[Shown]:
        """The detections of an image at the working point, best first."""
        chosen_D = (self.verdicts.image_D == image_id) & (self.verdicts.score_D >= self.threshold)
        counts_D = chosen_D & ~self.verdicts.ignored_TD[0]
        return [self._shown(int(d)) for d in np.flatnonzero(counts_D)]

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
        return numbers | {"doubles": self.doubles, "calibration_error": self.calibration.error}


def analyse(
    truth: Truth, detections: Iterable[Mapping[str, Any]], words: Mapping[int, str]
) -> NameAnalysis:
    """Analyse detections by class name.

    Args:
        detections: rows of `image_id`, `category_id`, `bbox`, `score`.
        words: what the detector was asked for, by category id. Other categories keep their names.

    Raises:
        ValueError: if a row does not belong to the truth; it is named by its index.
    """
    verdicts = mistakes.explain(truth, detections)
    names = zip(truth.category_ids, truth.names, strict=True)
    called = tuple(words.get(category_id, name) for category_id, name in names)
    precision_TRC = np.stack([mistakes.precision(verdicts, t) for t in range(len(THRESHOLDS_T))])
    threshold, precision, recall = _working_point(verdicts)
    counts_D = ~verdicts.ignored_TD[0]
    shown_D = counts_D & (verdicts.score_D >= threshold)
    area_G = verdicts.true_area_G
    return NameAnalysis(
        curves={_label(t): _mean_over_categories(precision_TRC[t]) for t in CURVES},
        categories=_categories(verdicts, called, precision_TRC),
        sizes={
            name: int(((area_G >= low) & (area_G < high)).sum())
            for name, (low, high) in zip(SIZES[1:], AREAS_A2[1:], strict=True)
        },
        threshold=threshold,
        precision=precision,
        recall=recall,
        mistakes={kind: int((verdicts.kind_D[shown_D] == k).sum()) for k, kind in enumerate(KINDS)},
        gains=gains.gains(verdicts),
        missed=int((verdicts.true_score_G < threshold).sum()),
        confusions=_confusions(verdicts, called, shown_D),
        doubles=_doubles(verdicts, shown_D),
        calibration=calibrate(
            verdicts.score_D[counts_D], verdicts.found_TD[0][counts_D], LEAST_SCORE
        ),
        outcomes=_outcomes(verdicts, shown_D, threshold, truth.image_ids),
        verdicts=verdicts,
        called=called,
    )


def _label(threshold: int) -> str:
    return f"IoU {THRESHOLDS_T[threshold]:.2f}".replace("0.", ".")


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
    """Score, precision and recall at which F1 over all categories together is best."""
    counts_D = ~verdicts.ignored_TD[0]
    score_D = verdicts.score_D[counts_D]
    num_true = len(verdicts.true_score_G)
    if not len(score_D) or not num_true:
        return 1.0, 0.0, 0.0
    right_D = np.cumsum(verdicts.found_TD[0][counts_D])
    f1_D = 2 * right_D / (np.arange(1, len(right_D) + 1) + num_true)
    f1_D[:-1][score_D[:-1] == score_D[1:]] = -1  # a threshold cannot separate equal scores
    best = int(f1_D.argmax())
    right = right_D[best]
    return float(score_D[best]), float(right / (best + 1)), float(right / num_true)


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


def _doubles(verdicts: Verdicts, shown_D: Bools) -> float:
    images = doubles.images_with_doubles(
        verdicts.image_D[shown_D], verdicts.category_D[shown_D], verdicts.boxes_xywh_D4[shown_D]
    )
    return len(images) / max(len(verdicts.truth.image_ids), 1)


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
