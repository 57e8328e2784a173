import numpy as np
import pytest

from omnidet.evaluation import name_analysis
from omnidet.evaluation.name_analysis import Outcome
from omnidet.evaluation.truth import in_columns
from tests import evaluations
from tests.evaluations import LEFT


def analyse(rows=None, dataset=None):
    rows = evaluations.detections() if rows is None else rows
    truth = in_columns(dataset or evaluations.ground_truth())
    return name_analysis.analyse(truth, rows, {1: "star", 2: "ring"})


def test_the_working_point_is_where_f1_is_best():
    result = analyse()
    # By falling score: 2 wrong, 4 right, a duplicate, a poor box, 4 right. F1 is best at the last.
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


def test_a_threshold_does_not_separate_equal_scores():
    rows = [row | {"score": 0.5} for row in evaluations.detections()]
    assert analyse(rows).threshold == 0.5
    assert analyse(rows).precision == pytest.approx(8 / 12)


def test_the_detections_of_an_image_that_are_shown():
    shown = analyse().shown(4)
    assert [(s.name, s.score, s.mistake) for s in shown] == [
        ("ring", 0.95, "confusion"),
        ("ring", 0.55, ""),
    ]
    assert shown[0].box_xyxy == LEFT


def test_the_cost_of_background_mistakes_is_the_gain_without_them():
    result = analyse()
    rows = [row for row in evaluations.detections() if row["score"] != 0.97]
    without = np.mean([c.average_precision_50 for c in analyse(rows).categories])
    assert result.gains["background"] == pytest.approx(
        without - np.mean([c.average_precision_50 for c in result.categories])
    )
    assert result.gains["background"] > 0
    assert result.gains["both"] == 0


def test_curves_and_categories_agree():
    result = analyse()
    assert result.curves["IoU .50"].mean() == pytest.approx(
        np.mean([c.average_precision_50 for c in result.categories])
    )
    assert [(c.name, c.true_boxes) for c in result.categories] == [("ring", 6), ("star", 6)]
    assert result.categories[0].average_precision > result.categories[1].average_precision
    assert result.sizes == {"small": 12, "medium": 0, "large": 0}


def test_without_detections_and_without_true_boxes_all_numbers_are_finite():
    for result in (analyse([]), analyse(dataset=evaluations.ground_truth() | {"annotations": []})):
        assert (result.precision, result.recall) == (0, 0)
        assert all(np.isfinite(value) for value in result.values().values())
        assert np.isfinite(list(result.gains.values())).all()
