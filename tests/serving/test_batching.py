"""Pictures that go through the detector together."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest

from omnidet.inference import pictures
from omnidet.inference.detector import OmniDet
from omnidet.serving.batching import Batcher, Found, Prepared, Task
from tests import toys
from tests.serving.running import toy


class _Watched:
    """A detector that says which batches it was given, and fails at pictures named "bad"."""

    def __init__(self, whole: OmniDet) -> None:
        self.whole, self.batches, self.may = whole, [], threading.Event()

    def regions(self, given: list[Prepared]) -> Any:
        assert self.may.wait(30)
        self.batches.append([picture.name for picture in given])
        if any(picture.name == "bad" for picture in given):
            raise RuntimeError("out of memory")
        return self.whole.regions(given)


@pytest.fixture(scope="module")
def whole() -> OmniDet:
    return toy()


def _task(detector: Any, whole: OmniDet, name: str, side: int = 0, count: int = 5) -> Task:
    picture = pictures.read(toys.png(40 + 3 * len(name), 30, [(5, 5, 20, 20)]))
    square = picture.letterboxed(side or whole.image_size)
    prepared = Prepared(name, picture.width, picture.height, b"", square)
    return Task(detector, prepared, whole.prompt(["ring", name]), count, 0.0)


def _run(tasks: list[Task], most: int, watched: _Watched) -> tuple[list[Any], list[int]]:
    sizes: list[int] = []

    async def all_of_them() -> list[Any]:
        batcher = Batcher(most, sizes.append)
        running = [asyncio.create_task(batcher.run(task)) for task in tasks]
        await asyncio.sleep(0.2)
        watched.may.set()
        return await asyncio.gather(*running, return_exceptions=True)

    return asyncio.run(all_of_them()), sizes


def test_those_that_wait_go_together_and_get_what_each_gets_alone(whole):
    watched = _Watched(whole)
    tasks = [_task(watched, whole, f"p{i}", count=i + 1) for i in range(6)]
    found, sizes = _run(tasks, 4, watched)
    assert watched.batches == [["p0", "p1", "p2", "p3"], ["p4", "p5"]]
    assert sizes == [4, 2]
    for number, (task, one) in enumerate(zip(tasks, found, strict=True)):
        assert isinstance(one, Found)
        (alone,), _ = _run([task], 1, watched)
        assert (len(one.scores), one.width) == (number + 1, 46)
        assert one.scores == pytest.approx(alone.scores, abs=1e-5)
        assert one.boxes_xyxy == pytest.approx(alone.boxes_xyxy, abs=1e-2)


def test_only_one_kind_goes_together_and_no_kind_waits_for_ever(whole):
    watched, other = _Watched(whole), _Watched(whole)
    other.may.set()
    size = whole.image_size
    tasks = [_task(watched, whole, "a")]
    tasks += [_task(watched, whole, name) for name in ("b", "c")]
    tasks += [_task(other, whole, "v2"), _task(watched, whole, "large", 2 * size)]
    tasks += [_task(watched, whole, "d")]
    found, _ = _run(tasks, 8, watched)
    assert watched.batches == [["a", "b", "c", "d"], ["large"]]
    assert other.batches == [["v2"]]
    assert all(isinstance(one, Found) for one in found)


def test_one_that_fails_costs_the_others_nothing(whole):
    watched = _Watched(whole)
    tasks = [_task(watched, whole, name) for name in ("a", "b", "bad", "c")]
    found, _ = _run(tasks, 4, watched)
    assert [type(one).__name__ for one in found] == ["Found", "Found", "RuntimeError", "Found"]


def test_who_went_away_is_not_looked_at(whole):
    watched = _Watched(whole)
    tasks = [_task(watched, whole, name) for name in ("a", "gone", "b")]

    async def with_one_cancelled() -> list[Any]:
        batcher = Batcher(1)
        running = [asyncio.create_task(batcher.run(task)) for task in tasks]
        await asyncio.sleep(0.1)
        running[1].cancel()
        assert batcher.waiting == 2
        await asyncio.sleep(0)
        watched.may.set()
        return await asyncio.gather(*running, return_exceptions=True)

    found = asyncio.run(with_one_cancelled())
    assert isinstance(found[1], asyncio.CancelledError)
    assert watched.batches == [["a"], ["b"]]
