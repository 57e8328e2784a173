"""Work on many items in several processes, with results in the order of the items."""

from __future__ import annotations

import itertools
import multiprocessing
import os
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import forkserver
from typing import Any, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")
Shared = TypeVar("Shared")

FEW = 4
"""This many items are handled in this process, because another one needs seconds to start."""
PATIENCE_SECONDS = 1.0
"""If the first items take longer than this, as those of a large annotation file do, there will be
many: worker processes are started meanwhile."""


def in_order(
    work: Callable[[Shared, Item], Result], shared: Shared, items: Iterable[Item], workers: int = 0
) -> Iterator[Result]:
    """Yield `work(shared, item)` for each item.

    Args:
        work: a function at the top level of a module.
        shared: what is the same for all items; sent to each process once.
        items: taken only when needed, so that few are in memory.
        workers: number of processes; 0 for one per core.

    Raises:
        OSError: if a worker process dies.
    """
    left = iter(items)
    workers = workers or os.cpu_count() or 1
    # Workers are forked from a process without threads that has the modules loaded. A fork of this
    # process would copy locks that its threads hold.
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([work.__module__])
    early = threading.Timer(PATIENCE_SECONDS, forkserver.ensure_running)
    if workers > 1:
        early.start()
    try:
        few = list(itertools.islice(left, FEW + 1))
    finally:
        early.cancel()
    everything = itertools.chain(few, left)
    if len(few) <= FEW or workers == 1:
        for item in everything:
            yield work(shared, item)
        return
    with ProcessPoolExecutor(workers, context, _take, (work, shared)) as pool:
        ahead: deque[Future[Any]] = deque()
        try:
            for item in everything:
                ahead.append(pool.submit(_work_here, item))
                if len(ahead) > workers + 1:
                    yield ahead.popleft().result()
            while ahead:
                yield ahead.popleft().result()
        except BrokenProcessPool as error:
            raise OSError(
                "a worker process of the build died, perhaps for lack of memory: set fewer workers"
            ) from error
        finally:
            pool.shutdown(cancel_futures=True)


_own: tuple[Callable[[Any, Any], Any], Any] | None = None
"""In a worker process: its function and what all items share."""


def _take(work: Callable[[Any, Any], Any], shared: Any) -> None:
    global _own
    _own = work, shared


def _work_here(item: Any) -> Any:
    assert _own is not None
    return _own[0](_own[1], item)
