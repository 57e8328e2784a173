"""Whether the scores of a detector can be read as probabilities."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from omnidet.evaluation.truth import Bools, Doubles
from omnidet.schema import IntArray

BINS = 10


@dataclass(frozen=True, eq=False)
class Calibration:
    """Whether 7 of 10 detections with a score of .7 are right: B bins of the score."""

    count_B: IntArray
    """Detections in each bin."""
    score_B: Doubles
    """Mean score; 0 in an empty bin."""
    right_B: Doubles
    """Share of the bin's detections that are right."""
    least_score: float

    @property
    def error(self) -> float:
        """Expected calibration error: mean distance of score and share, weighted by count.

        Guo et al., On Calibration of Modern Neural Networks, ICML 2017.
        """
        total = self.count_B.sum()
        distance_B = np.abs(self.score_B - self.right_B)
        return float((self.count_B * distance_B).sum() / total) if total else 0.0


def calibrate(score_D: Doubles, right_D: Bools, least_score: float) -> Calibration:
    """Put detections with a score of at least `least_score` into bins of equal width."""
    score_D, right_D = score_D[score_D >= least_score], right_D[score_D >= least_score]
    bin_D = np.clip((score_D * BINS).astype(int), 0, BINS - 1)
    count_B = np.bincount(bin_D, minlength=BINS)
    divisor_B = np.maximum(count_B, 1)
    score_B = np.bincount(bin_D, score_D, BINS) / divisor_B
    return Calibration(count_B, score_B, np.bincount(bin_D, right_D, BINS) / divisor_B, least_score)
