import numpy as np
import pytest

from omnidet.evaluation import absent


def test_the_threshold_is_that_at_which_half_the_true_boxes_are_found():
    metrics = absent.evaluate([[0.9, 0.2], [0.6, -1.0]], [[0.1, 0.7], [0.6, 0.59]])
    # 0.9 and 0.6 are two of four boxes; two of the four absent names reach 0.6.
    assert metrics.values == {"false_positive_rate": 0.5, "threshold": 0.6}
    assert metrics.details["recall"] == 0.5
    assert metrics.details["counts"] == {"images": 2, "true_boxes": 4, "absent_names": 4}
    low, high = metrics.details["intervals"]["false_positive_rate"]
    assert 0 <= low <= 0.5 <= high <= 1


def test_the_scale_of_the_scores_does_not_matter():
    random = np.random.default_rng(0)
    true, false = random.random((50, 3)) ** 0.5, random.random((50, 4))
    one = absent.evaluate(true.tolist(), false.tolist())
    other = absent.evaluate((true * 1e-3).tolist(), (false * 1e-3).tolist())
    assert (
        one.values["false_positive_rate"]
        == other.values["false_positive_rate"]
        == pytest.approx(0.29, abs=0.06)
    )
    assert one.details["intervals"] == other.details["intervals"]


def test_there_is_no_number_if_half_the_boxes_cannot_be_found():
    metrics = absent.evaluate([[0.9, -1.0, -1.0]], [[0.5]])
    assert metrics.values == {}
    assert metrics.details["undefined"] == ["false_positive_rate", "threshold"]
    assert metrics.details["recall"] == pytest.approx(1 / 3)


@pytest.mark.parametrize(
    ("true", "false", "message"),
    [
        ([[]], [[0.5]], "no true boxes"),
        ([[0.5]], [[]], "no absent names"),
        ([[0.5]], [[np.nan]], "not finite"),
    ],
)
def test_what_cannot_be_counted_is_refused(true, false, message):
    with pytest.raises(ValueError, match=message):
        absent.evaluate(true, false)
