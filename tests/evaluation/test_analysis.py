import numpy as np
import pytest

from omnidet.evaluation import analysis
from omnidet.evaluation.analysis import Outcome, PhraseTruth
from omnidet.evaluation.truth import in_columns
from tests import evaluations
from tests.evaluations import EMPTY, LEFT, RIGHT, SHIFTED


def names(rows=None, dataset=None):
    rows = evaluations.detections() if rows is None else rows
    truth = in_columns(dataset or evaluations.ground_truth())
    return analysis.names(truth, rows, {1: "star", 2: "ring"})


def test_the_working_point_is_where_f1_is_best():
    result = names()
    # By falling score: wrong, wrong, right 4 times, duplicate, poor box, right 4 times: the last has the best F1.
    assert (result.threshold, result.precision, result.recall) == (
        0.45,
        pytest.approx(8 / 12),
        pytest.approx(8 / 12),
    )
    assert result.mistakes == {
        "localisation": 1,
        "confusion": 1,
        "duplicate": 1,
        "background": 1,
        "both": 0,
    }
    assert result.missed == 4
    assert result.outcomes[1] == Outcome(2, 0, 0)
    assert result.outcomes[4] == Outcome(1, 1, 1)
    assert result.outcomes[6] == Outcome(0, 0, 2)
    assert result.confusions == (("ring", "star", 1),)
    assert result.values()["error_duplicate"] == pytest.approx(1 / 12)


def test_equal_scores_are_not_parted():
    rows = [row | {"score": 0.5} for row in evaluations.detections()]
    assert names(rows).threshold == 0.5
    assert names(rows).precision == pytest.approx(8 / 12)


def test_what_is_shown_of_an_image():
    shown = names().shown(4)
    assert [(s.name, s.score, s.mistake) for s in shown] == [
        ("ring", 0.95, "confusion"),
        ("ring", 0.55, ""),
    ]
    assert shown[0].box_xyxy == LEFT


def test_what_lies_on_the_background_costs_what_is_gained_without_it():
    result = names()
    rows = [row for row in evaluations.detections() if row["score"] != 0.97]
    without = np.mean([c.average_precision_50 for c in names(rows).categories])
    assert result.gains["background"] == pytest.approx(
        without - np.mean([c.average_precision_50 for c in result.categories])
    )
    assert result.gains["background"] > 0
    assert result.gains["both"] == 0


def test_curves_and_categories_agree():
    result = names()
    assert result.curves["IoU .50"].mean() == pytest.approx(
        np.mean([c.average_precision_50 for c in result.categories])
    )
    assert [(c.name, c.true_boxes) for c in result.categories] == [("ring", 6), ("star", 6)]
    assert result.categories[0].average_precision > result.categories[1].average_precision
    assert result.sizes == {"small": 12, "medium": 0, "large": 0}


def test_nothing_found_and_nothing_to_find():
    for result in (names([]), names(dataset=evaluations.ground_truth() | {"annotations": []})):
        assert (result.precision, result.recall) == (0, 0)
        assert all(np.isfinite(value) for value in result.values().values())
        assert np.isfinite(list(result.gains.values())).all()


def test_calibration_is_the_mean_distance_of_score_and_share():
    scores = np.array([0.05, 0.31, 0.39, 0.9, 1.0])
    result = analysis.calibration(scores, np.array([False, True, False, True, True]), 0.1)
    assert result.count_B.tolist() == [0, 0, 0, 2, 0, 0, 0, 0, 0, 2]
    assert result.error == pytest.approx((2 * abs(0.35 - 0.5) + 2 * abs(0.95 - 1)) / 4)
    assert analysis.calibration(scores[:0], np.zeros(0, bool), 0.1).error == 0


def test_phrases_are_taken_apart():
    found = [LEFT, RIGHT, SHIFTED, EMPTY]
    texts = ["star", "star left of ring", "the very very tall star", "a big star"]
    truths = [
        PhraseTruth(f"coco:{i}", text, np.array([LEFT]), np.array([RIGHT]))
        for i, text in enumerate(texts)
    ]
    result = analysis.phrases(
        truths, np.array(found, np.float32), np.array([0.9, 0.8, 0.7, 0.6], np.float32)
    )
    assert result.mistakes == {"localisation": 1, "confusion": 1, "elsewhere": 1}
    assert result.groups["all"] == (0.25, 4)
    assert result.groups["relational"] == (0.0, 1)
    assert result.groups["1 or 2 words"] == (1.0, 1)
    assert result.overlap_P == pytest.approx([1, 0, 11 / 29, 0])
    assert result.curve[0] == 1
    assert result.curve[50] == 0.25
    assert result.values()["error_confusion"] == 0.25


def test_an_overlap_of_one_half_counts_and_any_of_several_boxes_is_right():
    truths = [PhraseTruth("coco:1", "stars", np.array([EMPTY, (0, 0, 10, 10)]), np.zeros((0, 4)))]
    result = analysis.phrases(
        truths, np.array([(0, 0, 10, 20)], np.float32), np.array([0.5], np.float32)
    )
    assert result.overlap_P == pytest.approx([0.5])
    assert result.mistakes == {"localisation": 0, "confusion": 0, "elsewhere": 0}
