"""Where a detector is good and where it fails with free phrases.

phrases with boxes + the best box for each --analyse--> PhraseAnalysis
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from omnidet.data.relations import is_relational
from omnidet.evaluation.average_precision import RECALLS_R
from omnidet.evaluation.box_iou import iou_xyxy
from omnidet.evaluation.calibration import Calibration, calibrate
from omnidet.evaluation.mistakes import BACKGROUND, LEAST_IOU
from omnidet.evaluation.truth import Doubles
from omnidet.schema import FloatArray

IOUS_R = RECALLS_R
"""The IoU thresholds at which the share of phrases is counted: 101 from 0 to 1."""
WORDS = {
    "1 or 2 words": (1, 2),
    "3 or 4 words": (3, 4),
    "5 to 7 words": (5, 7),
    "8 words or more": (8, 10**9),
}


@dataclass(frozen=True, eq=False)
class PhraseBoxes:
    """A phrase, its boxes and all others that are annotated in its image."""

    image_id: str
    phrase: str
    boxes_xyxy: FloatArray
    """(n, 4) in pixels; any of them is right."""
    others_xyxy: FloatArray
    """(m, 4), the other boxes of the image."""


@dataclass(frozen=True, eq=False)
class PhraseAnalysis:
    """The best box for each phrase: right if its IoU with a box of the phrase is at least .5."""

    curve: Doubles
    """Share of phrases whose best box reaches each of `IOUS_R`."""
    groups: Mapping[str, tuple[float, int]]
    """Group of phrases -> share of right boxes, number of phrases."""
    mistakes: Mapping[str, int]
    """Wrong best boxes: near the true one (localisation), on another annotated box (confusion), or
    elsewhere."""
    calibration: Calibration
    iou_P: Doubles
    """IoU of the best box of each phrase with its nearest true one, in the order given."""
    score_P: Doubles

    def values(self) -> dict[str, float]:
        """Flat numbers; the shares of mistakes are of all phrases."""
        total = max(len(self.iou_P), 1)
        numbers = {f"error_{kind}": count / total for kind, count in self.mistakes.items()}
        return numbers | {"calibration_error": self.calibration.error}


def analyse(
    truths: Sequence[PhraseBoxes], boxes_xyxy: FloatArray, scores: FloatArray
) -> PhraseAnalysis:
    """Analyse the best box for each phrase.

    Args:
        truths: P phrases, each with a box.
        boxes_xyxy: (P, 4), the best box for each.
        scores: (P,), its score.
    """
    iou_P = _best_iou([truth.boxes_xyxy for truth in truths], boxes_xyxy)
    other_P = _best_iou([truth.others_xyxy for truth in truths], boxes_xyxy)
    score_P = np.asarray(scores, np.float64)
    right_P = iou_P >= LEAST_IOU
    relational_P = np.array([is_relational(t.phrase) for t in truths], bool)
    length_P = np.array([len(t.phrase.split()) for t in truths], int)
    members = {
        "all": np.ones(len(truths), bool),
        "plain": ~relational_P,
        "relational": relational_P,
    }
    members |= {name: (length_P >= low) & (length_P <= high) for name, (low, high) in WORDS.items()}
    kinds = {
        "localisation": ~right_P & (iou_P >= BACKGROUND),
        "confusion": ~right_P & (iou_P < BACKGROUND) & (other_P >= LEAST_IOU),
    }
    kinds["elsewhere"] = ~right_P & ~kinds["localisation"] & ~kinds["confusion"]
    return PhraseAnalysis(
        curve=np.array([(iou_P >= least).mean() if len(iou_P) else 0.0 for least in IOUS_R]),
        groups={
            name: (float(right_P[m].mean()), int(m.sum())) for name, m in members.items() if m.any()
        },
        mistakes={kind: int(m.sum()) for kind, m in kinds.items()},
        calibration=calibrate(score_P, right_P, 0.0),
        iou_P=iou_P,
        score_P=score_P,
    )


def _best_iou(rivals: Sequence[FloatArray], boxes_xyxy: FloatArray) -> Doubles:
    best_P = np.zeros(len(rivals))
    for p, (true, box) in enumerate(zip(rivals, boxes_xyxy, strict=True)):
        if len(true):
            best_P[p] = float(iou_xyxy(box, true).max())
    return best_P
