"""Expressions fit their target alone."""

from __future__ import annotations

import pytest

from omnidet.data.tiny_world.expressions import offset, plain_expressions, relational_expressions
from omnidet.data.tiny_world.scenes import Scene, Thing


def test_a_relation_that_is_not_clear_is_not_said():
    def thing(shape, x, y):
        return Thing("red", shape, "small", (x, y, x + 20, y + 20), 400)

    clear = Scene(128, (thing("star", 10, 50), thing("circle", 60, 50)))
    assert {(r.relation, r.head, r.landmark) for r in relational_expressions(clear, 0)} >= {
        ("left of", "star", "circle")
    }
    assert {r.relation for r in relational_expressions(clear, 1)} == {"right of"}
    near = Scene(128, (thing("star", 50, 50), thing("circle", 60, 50)))
    assert not relational_expressions(near, 0)
    rival_is_left_too = Scene(
        128, (thing("star", 10, 50), thing("circle", 60, 50), thing("star", 55, 90))
    )
    assert not relational_expressions(rival_is_left_too, 0)
    rival_is_right = Scene(
        128, (thing("star", 10, 50), thing("circle", 60, 50), thing("star", 90, 90))
    )
    assert all(
        r.is_needed for r in relational_expressions(rival_is_right, 0) if r.landmark == "circle"
    )
    assert offset((0, 0, 10, 10), (0, 50, 10, 60), "above") == (50, 0)


def test_plain_expressions_fit_nothing_else():
    scene = Scene(
        128,
        (
            Thing("red", "star", "small", (0, 0, 20, 20), 400),
            Thing("red", "star", "large", (40, 0, 80, 40), 1600),
            Thing("blue", "moon", "small", (0, 60, 20, 80), 400),
        ),
    )
    assert plain_expressions(scene, 0) == ["small star", "small red star"]
    assert plain_expressions(scene, 2) == ["moon", "blue moon", "small moon", "small blue moon"]


@pytest.mark.parametrize(
    ("relation", "expected"),
    [("left of", (30, 5)), ("right of", (-30, 5)), ("above", (5, 30)), ("below", (-5, 30))],
)
def test_the_offset_of_each_relation(relation, expected):
    assert offset((0, 0, 10, 10), (30, 5, 40, 15), relation) == expected
