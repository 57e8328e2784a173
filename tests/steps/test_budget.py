"""A time becomes a number of steps, once for each run."""

from __future__ import annotations

import json

import pytest

from omnidet.steps import budget
from tests import toys


@pytest.fixture
def measured(tmp_path, monkeypatch) -> list[object]:
    """Every measurement says half a second per step, and is noted."""
    toys.write_shards(tmp_path / "shards")
    calls: list[object] = []
    monkeypatch.setattr(budget, "seconds_per_step", lambda *given: calls.append(given) or 0.5)
    return calls


def _steps(tmp_path, minutes: float) -> tuple[int, float]:
    return budget.steps_within(
        minutes, tmp_path / "shards", "words", toys.recipe(), tmp_path / "run"
    )


def test_the_steps_fill_the_time(measured, tmp_path):
    assert _steps(tmp_path, 3) == (360, 0.5)
    assert json.loads((tmp_path / "run" / budget.NAME).read_text())["steps"] == 360


def test_a_run_that_continues_is_not_measured_again(measured, tmp_path):
    assert _steps(tmp_path, 3) == _steps(tmp_path, 3)
    assert len(measured) == 1
    assert _steps(tmp_path, 6) == (720, 0.5)
    assert len(measured) == 2


def test_the_shortest_training_has_a_few_steps(measured, tmp_path):
    assert _steps(tmp_path, 0.001) == (budget.LEAST_STEPS, 0.5)
