import json

import numpy as np
import pytest
import torch

from omnidet import boxes
from omnidet.evaluation import refcocog
from omnidet.evaluation.refcocog import Expression

TRUE = np.array([[0, 0, 10, 10]], np.float32)


def expression(relational=False, boxes_xyxy=TRUE, text="red ball"):
    return Expression("coco:1", text, boxes_xyxy, relational)


def evaluate(expressions, *found):
    return refcocog.evaluate(expressions, np.array(found, np.float32))


def test_every_expression_counts_once():
    expressions = [
        expression(),
        expression(),
        expression(relational=True),
        expression(relational=True),
    ]
    metrics = evaluate(expressions, [0, 0, 10, 10], [0, 0, 10, 6], [0, 0, 10, 4], [20, 20, 30, 30])
    assert metrics.values == {"AIGT": 0.5, "AIGT_plain": 1.0, "AIGT_relational": 0.0}
    counts = {"images": 1, "expressions": 4, "plain": 2, "relational": 2, "hits": 2}
    assert metrics.details["counts"] == counts
    assert set(metrics.details["intervals"]) == set(metrics.values)
    assert "IoU >= 0.5" in metrics.protocol
    json.dumps([metrics.values, metrics.details])


def test_it_is_iou_and_not_generalised_iou():
    true, found = np.array([[0, 0, 10, 10]], np.float32), [3, 0, 13, 11]
    pair = torch.from_numpy(true[0]), torch.tensor(found, dtype=torch.float32)
    assert boxes.iou(*pair) >= 0.5
    assert boxes.generalized_iou(*pair) < 0.5
    assert evaluate([expression(boxes_xyxy=true)], found).values["AIGT"] == 1


def test_exactly_one_half_is_a_hit():
    assert evaluate([expression()], [0, 0, 10, 5]).values["AIGT"] == 1
    assert evaluate([expression()], [0, 0, 10, 4.99]).values["AIGT"] == 0


def test_any_of_several_accepted_boxes_is_a_hit():
    both = np.array([[50, 50, 60, 60], [0, 0, 10, 10]], np.float32)
    assert evaluate([expression(boxes_xyxy=both)], [0, 0, 10, 10]).values["AIGT"] == 1


def test_a_kind_without_expressions_has_no_number():
    assert set(evaluate([expression()], [0, 0, 1, 1]).values) == {"AIGT", "AIGT_plain"}
    assert set(evaluate([expression(relational=True)], [0, 0, 1, 1]).values) == {
        "AIGT",
        "AIGT_relational",
    }


def test_what_cannot_be_counted_is_refused():
    with pytest.raises(ValueError, match="no expressions"):
        refcocog.evaluate([], np.zeros((0, 4), np.float32))
    with pytest.raises(ValueError, match=r"shape \(1, 4\).*2 expressions"):
        evaluate([expression(), expression()], [0, 0, 1, 1])
    with pytest.raises(ValueError, match=r"'red ball' of image coco:1 is .*nan"):
        evaluate([expression()], [0, 0, np.nan, 1])
    with pytest.raises(ValueError, match=r"'red ball' of image coco:1 .*no box"):
        evaluate([expression(boxes_xyxy=np.zeros((0, 4), np.float32))], [0, 0, 1, 1])


def test_intervals_resample_images_not_expressions():
    """The expressions of an image are drawn together, so ten times as many say no more."""
    few = [Expression(f"coco:{n}", "ball", TRUE, relational=False) for n in range(40)]
    found = [[0, 0, 10, 10] if n % 2 else [50, 50, 60, 60] for n in range(40)]
    low, high = evaluate(few, *found).details["intervals"]["AIGT"]
    assert high - low == pytest.approx(2 * 1.96 * 0.5 / 40**0.5, rel=0.25)
    many = evaluate(few * 10, *(found * 10)).details["intervals"]["AIGT"]
    assert many == pytest.approx([low, high], abs=1e-6)


def test_scrambling_is_always_the_same_and_changes_the_order():
    text = "the red star left of the blue circle"
    scrambled = refcocog.scramble(text)
    assert scrambled != text
    assert sorted(scrambled.split()) == sorted(text.split())
    assert refcocog.scramble(text) == scrambled == "blue star red the left circle the of"
    for short in ("star", "very very", ""):
        assert refcocog.scramble(short) == short
    assert refcocog.scramble("red star") == "star red"


def test_the_scrambled_control_has_numbers_of_its_own():
    both = [expression(), expression(relational=True)]
    found = np.array([[0, 0, 10, 10], [0, 0, 10, 10]], np.float32)
    scrambled = np.array([[0, 0, 10, 10], [50, 50, 60, 60]], np.float32)
    values = refcocog.evaluate(both, found, scrambled).values
    assert values["AIGT"] == values["AIGT_relational"] == 1
    control = {"AIGT_scrambled": 0.5, "AIGT_plain_scrambled": 1, "AIGT_relational_scrambled": 0}
    assert {name: v for name, v in values.items() if name.endswith("scrambled")} == control
