import numpy as np
import pytest

from omnidet.evaluation.calibration import calibrate


def test_the_error_is_the_mean_distance_of_score_and_share():
    scores = np.array([0.05, 0.31, 0.39, 0.9, 1.0])
    result = calibrate(scores, np.array([False, True, False, True, True]), 0.1)
    assert result.count_B.tolist() == [0, 0, 0, 2, 0, 0, 0, 0, 0, 2]
    assert result.right_B[[3, 9]].tolist() == [0.5, 1.0]
    assert result.score_B[[3, 9]] == pytest.approx([0.35, 0.95])
    assert result.error == pytest.approx((2 * abs(0.35 - 0.5) + 2 * abs(0.95 - 1)) / 4)


def test_without_detections_there_is_no_error():
    assert calibrate(np.zeros(0), np.zeros(0, bool), 0.1).error == 0
