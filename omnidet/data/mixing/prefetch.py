"""Fetches the shards that are needed next from an object store while the present ones are read."""

from __future__ import annotations

import contextlib
import queue
import threading
from collections.abc import Hashable, Sequence

from torch.utils.data import get_worker_info

from omnidet import storage
from omnidet.data.mixing.order import Order
from omnidet.data.shard_cache import ShardCache
from omnidet.data.shards import Shard


class Prefetcher:
    """One for each process; a worker of the loader fetches its share of the next window."""

    def __init__(self, location: str, cache: ShardCache) -> None:
        self.location, self.cache = location, cache
        self.asked: dict[Hashable, tuple[int, int]] = {}
        self.wanted: queue.SimpleQueue[Shard] = queue.SimpleQueue()
        self.thread: threading.Thread | None = None

    def look_ahead(
        self, key: Hashable, order: Order, position: int, members: Sequence[Shard]
    ) -> None:
        """Note where in a set the reader is; the first sample of a window requests the next window.

        Args:
            key: identifies the set.
            members: the shards of the set.
        """
        window = order.window_of(position)
        if self.asked.get(key) == window:
            return
        self.asked[key] = window
        info = get_worker_info()
        own, workers = (info.id, info.num_workers) if info else (0, 1)
        for shard in order.shards_after(position)[own::workers]:
            self.wanted.put(members[shard])
        if self.thread is None:  # not before the fork, which threads do not survive
            self.thread = threading.Thread(target=self._run, name="prefetch", daemon=True)
            self.thread.start()

    def _run(self) -> None:
        while True:
            shard = self.wanted.get()
            # The reader reports an error when it comes to that shard.
            with contextlib.suppress(OSError, ValueError):
                name = storage.join(self.location, shard.path)
                self.cache.open(name, shard.size_bytes, shard.sha256).close()
