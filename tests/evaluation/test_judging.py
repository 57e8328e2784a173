"""Matching by hand-worked cases; `test_official` compares it with the official tools."""

import numpy as np
import pytest

from omnidet.evaluation import judging
from omnidet.evaluation.detections import collect
from omnidet.evaluation.judging import ALL, flags, judge
from omnidet.evaluation.truth import in_columns

SMALL = judging.SIZES.index("small")


def truth(*boxes, federated=False, **annotation):
    """One image with cats. If it is federated, it has no dogs, and birds are unknown."""
    image = {"id": 3} | ({"neg_category_ids": [2]} if federated else {})
    annotations = [
        {"id": n, "image_id": 3, "category_id": 1, "bbox": list(box), "area": box[2] * box[3]}
        | annotation
        for n, box in enumerate(boxes, 1)
    ]
    categories = [
        {"id": n, "name": name, "frequency": "f"}
        for n, name in enumerate(("cat", "dog", "bird"), 1)
    ]
    content = {"images": [image], "annotations": annotations, "categories": categories}
    return in_columns(content, federated)


def judged(true, *found, most=100):
    """Right and wrong at every threshold, in the order in which the detections are given."""
    rows = [
        {"image_id": 3, "category_id": category, "bbox": list(box), "score": score}
        for category, box, score in found
    ]
    result = judge(true, collect(rows, true)[0], most)
    order = np.argsort(result.row_D)
    return result, flags(result.right_D, ALL)[:, order], flags(result.wrong_D, ALL)[:, order]


BOX, NEAR = (0, 0, 100, 100), (0, 0, 100, 80)


def test_the_better_score_takes_the_box_even_if_it_fits_less():
    _, right_TD, wrong_TD = judged(truth(BOX), (1, BOX, 0.5), (1, NEAR, 0.9))
    assert right_TD[0].tolist() == [False, True]
    assert wrong_TD[0].tolist() == [True, False]
    # NEAR has an IoU of .8: at .85 and above the box is free for the other detection.
    assert right_TD[6].tolist() == [False, True]
    assert right_TD[7].tolist() == [True, False]


def test_each_box_remembers_the_score_that_found_it():
    result, _, _ = judged(truth(BOX, (200, 200, 50, 50)), (1, NEAR, 0.9), (1, BOX, 0.5))
    assert result.found_score_G.tolist() == [0.9, -np.inf]


def test_a_crowd_takes_any_number_of_detections_which_do_not_count():
    _, right_TD, wrong_TD = judged(truth(BOX, iscrowd=1), (1, (1, 1, 9, 9), 0.9), (1, NEAR, 0.8))
    assert not right_TD.any()
    assert not wrong_TD.any()


def test_detections_of_unknown_categories_are_not_judged():
    result, _, wrong_TD = judged(truth(BOX, federated=True), (3, BOX, 0.9), (2, BOX, 0.8))
    assert result.row_D.tolist() == [1]
    assert wrong_TD.all()


def test_boxes_of_another_size_are_neither_right_nor_wrong():
    result, right_TD, _ = judged(truth(BOX), (1, BOX, 0.9))
    assert right_TD.all()
    assert result.wanted_GA[0].tolist() == [True, False, False, True]
    assert not flags(result.right_D, SMALL).any()
    assert not flags(result.wrong_D, SMALL).any()


def test_only_the_best_of_an_image_and_category_count():
    result, right_TD, _ = judged(truth(BOX), (1, BOX, 0.1), (1, (300, 0, 9, 9), 0.9), most=1)
    assert result.row_D.tolist() == [1]
    assert not right_TD.any()


@pytest.mark.parametrize("at_once", [1, 7, 10**6])
def test_the_size_of_the_pieces_changes_nothing(monkeypatch, at_once):
    monkeypatch.setattr(judging, "PAIRS_AT_ONCE", at_once)
    random = np.random.default_rng(0)
    boxes = [(*random.integers(0, 50, 2), *random.integers(20, 60, 2)) for _ in range(30)]
    boxes = [tuple(float(v) for v in box) for box in boxes]
    true = truth(*boxes[:15])
    _, right_TD, _ = judged(true, *((1, box, n / 30) for n, box in enumerate(boxes)))
    assert right_TD.sum(1).tolist()[0] == 15
    assert right_TD[-1][:15].all()
