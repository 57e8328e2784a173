import numpy as np
import pytest

from omnidet.evaluation import phrase_analysis
from omnidet.evaluation.phrase_analysis import PhraseBoxes
from tests.evaluations import EMPTY, LEFT, RIGHT, SHIFTED


def test_phrases_by_group_and_mistake():
    found = [LEFT, RIGHT, SHIFTED, EMPTY]
    texts = ["star", "star left of ring", "the very very tall star", "a big star"]
    truths = [
        PhraseBoxes(f"coco:{i}", text, np.array([LEFT]), np.array([RIGHT]))
        for i, text in enumerate(texts)
    ]
    result = phrase_analysis.analyse(
        truths, np.array(found, np.float32), np.array([0.9, 0.8, 0.7, 0.6], np.float32)
    )
    assert result.mistakes == {"localisation": 1, "confusion": 1, "elsewhere": 1}
    assert result.groups["all"] == (0.25, 4)
    assert result.groups["relational"] == (0.0, 1)
    assert result.groups["1 or 2 words"] == (1.0, 1)
    assert result.iou_P == pytest.approx([1, 0, 11 / 29, 0])
    assert result.curve[0] == 1
    assert result.curve[50] == 0.25
    assert result.values()["error_confusion"] == 0.25


def test_an_iou_of_one_half_is_right_and_so_is_any_of_several_boxes():
    truths = [PhraseBoxes("coco:1", "stars", np.array([EMPTY, (0, 0, 10, 10)]), np.zeros((0, 4)))]
    result = phrase_analysis.analyse(
        truths, np.array([(0, 0, 10, 20)], np.float32), np.array([0.5], np.float32)
    )
    assert result.iou_P == pytest.approx([0.5])
    assert result.mistakes == {"localisation": 0, "confusion": 0, "elsewhere": 0}
