"""The time of a run is that of all its processes."""

from __future__ import annotations

import pytest

from omnidet.training import stopwatch
from omnidet.training.stopwatch import Stopwatch


@pytest.fixture
def clock(monkeypatch):
    now = [100.0]
    monkeypatch.setattr(stopwatch.time, "monotonic", lambda: now[0])
    return now


def test_processes_add_up(clock):
    first = Stopwatch()
    clock[0] += 30
    kept = first.facts()
    clock[0] += 5  # after the last checkpoint: done again by the next process
    second = Stopwatch()
    clock[0] += 2
    second.go_on(kept)
    clock[0] += 10
    assert second.seconds == pytest.approx(42)
    third = Stopwatch()
    third.go_on(second.facts())
    assert third.seconds == pytest.approx(42)


def test_a_checkpoint_without_a_time(clock):
    watch = Stopwatch()
    clock[0] += 7
    watch.go_on({"loader": {}})
    assert watch.seconds == pytest.approx(7)
