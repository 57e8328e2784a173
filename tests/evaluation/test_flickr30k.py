import numpy as np
import pytest

from omnidet.evaluation import flickr30k
from omnidet.evaluation.flickr30k import PhraseTruth

LEFT, RIGHT, BOTH, AWAY = [0, 0, 10, 10], [20, 0, 30, 10], [0, 0, 30, 10], [90, 90, 95, 95]


def array(*boxes):
    return np.array(boxes, np.float32).reshape(-1, 4)


def phrase(*boxes, text="two dogs"):
    return PhraseTruth("flickr30k:1", text, array(*boxes))


def test_any_box_and_merged_box():
    phrases = [phrase(LEFT, RIGHT), phrase(LEFT, RIGHT), phrase(LEFT, RIGHT), phrase(LEFT)]
    predictions = [array(LEFT, BOTH), array(BOTH, AWAY, RIGHT), array(RIGHT), array(AWAY, AWAY)]
    metrics = flickr30k.evaluate(phrases, predictions)
    any_box = {"R@1": 0.5, "R@5": 0.75, "R@10": 0.75}
    merged = {"R@1_merged": 0.25, "R@5_merged": 0.5, "R@10_merged": 0.5}
    assert metrics.values == any_box | merged
    assert "any-box" in metrics.protocol


@pytest.mark.parametrize(
    ("place", "expected"),
    [(0, (1, 1, 1)), (1, (0, 1, 1)), (4, (0, 1, 1)), (5, (0, 0, 1)), (10, (0, 0, 0))],
)
def test_the_rank_decides(place, expected):
    values = flickr30k.evaluate([phrase(LEFT)], [array(*[AWAY] * place, LEFT)]).values
    assert (values["R@1"], values["R@5"], values["R@10"]) == expected


def test_phrases_without_boxes_are_left_out_and_counted():
    metrics = flickr30k.evaluate([phrase(LEFT), phrase(text="a fine day")], [array(LEFT), array()])
    assert metrics.values["R@1"] == 1
    assert metrics.details["counts"] == {
        "images": 1,
        "phrases": 2,
        "evaluated": 1,
        "without_boxes": 1,
    }
    assert set(metrics.details["intervals"]) == set(metrics.values)


def test_a_phrase_without_a_prediction_is_a_miss():
    assert set(flickr30k.evaluate([phrase(LEFT)], [array()]).values.values()) == {0.0}


def test_what_cannot_be_counted_is_refused():
    with pytest.raises(ValueError, match="0 predictions for 1 phrases"):
        flickr30k.evaluate([phrase(LEFT)], [])
    with pytest.raises(ValueError, match="1 phrases"):
        flickr30k.evaluate([phrase()], [array()])
    with pytest.raises(ValueError, match="not finite"):
        flickr30k.evaluate([phrase(LEFT)], [array([0, 0, np.inf, 1])])
    with pytest.raises(ValueError, match=r"shape \(5,\)"):
        flickr30k.evaluate([phrase(LEFT)], [np.zeros(5, np.float32)])
