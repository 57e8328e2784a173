"""Prefetching fetches the next window once, in the background; errors are left to the reader."""

from __future__ import annotations

import contextlib
import queue
from types import SimpleNamespace

import pytest

from omnidet.data.mixing import prefetch
from omnidet.data.mixing.order import Order
from omnidet.data.mixing.prefetch import Prefetcher
from omnidet.data.shards import Shard

SHARDS = [Shard(f"{i}.tar", 5, 100 + i, f"hash {i}") for i in range(6)]


class Cache:
    """Notes what is opened in the background; some shards cannot be fetched."""

    def __init__(self, *broken: int) -> None:
        self.opened: queue.SimpleQueue[tuple[str, int, str]] = queue.SimpleQueue()
        self.broken = broken

    def open(self, name: str, size: int, sha256: str) -> contextlib.ExitStack:
        self.opened.put((name, size, sha256))
        if size - 100 in self.broken:
            raise OSError("the store does not answer")
        return contextlib.ExitStack()

    def next(self, count: int) -> list[str]:
        return [self.opened.get(timeout=10)[0] for _ in range(count)]


@pytest.fixture
def order() -> Order:
    return Order([5] * len(SHARDS), seed=0, window=2)


def _names(order: Order, position: int) -> list[str]:
    return [f"s3://bucket/shards/{SHARDS[i].path}" for i in order.shards_after(position)]


def test_the_first_sample_of_a_window_fetches_the_next_window(order):
    cache = Cache()
    prefetcher = Prefetcher("s3://bucket/shards", cache)
    for position in range(20):  # two windows of two shards with five samples each
        prefetcher.look_ahead("det", order, position, SHARDS)
    assert cache.next(4) == [*_names(order, 0), *_names(order, 10)]
    assert cache.opened.empty()


def test_the_size_and_hash_of_a_shard_are_those_of_the_index(order):
    cache = Cache()
    Prefetcher("s3://bucket/shards", cache).look_ahead("det", order, 0, SHARDS)
    first = SHARDS[order.shards_after(0)[0]]
    name = f"s3://bucket/shards/{first.path}"
    assert cache.opened.get(timeout=10) == (name, first.size_bytes, first.sha256)


def test_each_set_has_windows_of_its_own(order):
    cache = Cache()
    prefetcher = Prefetcher("s3://bucket/shards", cache)
    for key in ("det", "grd", "det"):
        prefetcher.look_ahead(key, order, 0, SHARDS)
    assert cache.next(4) == 2 * _names(order, 0)
    assert cache.opened.empty()


def test_an_error_does_not_end_the_thread(order):
    first = order.shards_after(0)
    cache = Cache(first[0])
    Prefetcher("s3://bucket/shards", cache).look_ahead("det", order, 0, SHARDS)
    assert cache.next(2) == _names(order, 0)  # the one after the failure too


def test_the_workers_of_a_loader_share_a_window(order, monkeypatch):
    names = []
    for worker in range(2):
        info = SimpleNamespace(id=worker, num_workers=2)
        monkeypatch.setattr(prefetch, "get_worker_info", lambda info=info: info)
        cache = Cache()
        Prefetcher("s3://bucket/shards", cache).look_ahead("det", order, 0, SHARDS)
        names += cache.next(1)
        assert cache.opened.empty()
    assert names == _names(order, 0)
