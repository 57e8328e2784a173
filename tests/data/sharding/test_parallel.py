"""Work in several processes: results in order, items taken late, and a dead worker is an error."""

from __future__ import annotations

import os
import time

import pytest

from omnidet.data.sharding import parallel
from omnidet.data.sharding.parallel import FEW, in_order


def scaled(factor: int, item: int) -> tuple[int, int]:
    """In a worker process: the first items take the longest."""
    time.sleep(0.002 * max(0, 3 - item))
    return factor * item, os.getpid()


def dying(_: None, item: int) -> int:
    """In a worker process: it ends at once."""
    os._exit(item)


def test_few_items_stay_in_this_process():
    found = list(in_order(scaled, 3, range(FEW), workers=2))
    assert found == [(3 * item, os.getpid()) for item in range(FEW)]


def test_one_worker_is_this_process():
    taken = []

    def items():
        for item in range(3 * FEW):
            taken.append(item)
            yield item

    results = in_order(scaled, 1, items(), workers=1)
    next(results)
    assert len(taken) == FEW + 1, "no more items are taken than needed"
    assert {process for _, process in results} == {os.getpid()}


def test_a_large_first_item_starts_the_other_processes_early(monkeypatch):
    started = []
    monkeypatch.setattr(parallel, "PATIENCE_SECONDS", 0.0)
    monkeypatch.setattr(parallel.forkserver, "ensure_running", lambda: started.append(True))

    def slow():
        time.sleep(0.05)
        yield 1

    assert list(in_order(scaled, 1, slow(), workers=2)) == [(1, os.getpid())]
    assert started == [True]


@pytest.mark.slow
def test_results_of_several_processes_come_in_order():
    found = list(in_order(scaled, 2, range(20), workers=2))
    assert [result for result, _ in found] == [2 * item for item in range(20)]
    assert os.getpid() not in {process for _, process in found}


@pytest.mark.slow
def test_a_worker_that_dies_is_an_error():
    with pytest.raises(OSError, match="workers"):
        list(in_order(dying, None, range(1, 20), workers=2))
