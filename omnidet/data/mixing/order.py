"""The order in which a set is read: a pure function of the seed and the epoch.

Shards are shuffled, then the samples within each window of consecutive shards. Exact resume
therefore costs nothing, and a reader needs only a window of shards at a time.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from omnidet.schema import IntArray


@dataclass(frozen=True, eq=False)
class _Epoch:
    """The shards of one epoch in their order, divided into windows."""

    shards: IntArray
    window_starts: IntArray
    """Position at which each window starts."""


class Order:
    """The shuffled order of a set of shards."""

    def __init__(self, samples: Sequence[int], seed: int, window: int) -> None:
        """Shuffle shards with so many `samples` each, `window` of them together."""
        self.samples, self.seed, self.window = np.asarray(samples, np.int64), seed, window
        self.num_samples = int(self.samples.sum())
        self._epoch = functools.lru_cache(maxsize=2)(self._make_epoch)
        self._window = functools.lru_cache(maxsize=3)(self._make_window)

    def place(self, position: int) -> tuple[int, int]:
        """The (shard, sample) at a position; positions go on from one epoch to the next."""
        epoch, window, inside = self._locate(position)
        shards, starts, shuffled = self._window(epoch, window)
        chosen = int(shuffled[inside])
        k = int(np.searchsorted(starts, chosen, side="right")) - 1
        return int(shards[k]), chosen - int(starts[k])

    def window_of(self, position: int) -> tuple[int, int]:
        """The (epoch, window) of a position."""
        return self._locate(position)[:2]

    def shards_after(self, position: int) -> list[int]:
        """The shards of the window after a position's own, which are needed soon."""
        epoch, window, _ = self._locate(position)
        if window + 1 == len(self._epoch(epoch).window_starts):
            epoch, window = epoch + 1, -1
        return [
            int(shard)
            for shard in self._epoch(epoch).shards[(window + 1) * self.window :][: self.window]
        ]

    def _locate(self, position: int) -> tuple[int, int, int]:
        epoch, place = divmod(position, self.num_samples)
        starts = self._epoch(epoch).window_starts
        window = int(np.searchsorted(starts, place, side="right")) - 1
        return epoch, window, place - int(starts[window])

    def _make_epoch(self, epoch: int) -> _Epoch:
        shards = (
            np.random.default_rng([self.seed, epoch, 0])
            .permutation(len(self.samples))
            .astype(np.int64)
        )
        ends = np.cumsum(self.samples[shards])[self.window - 1 :: self.window]
        starts = np.concatenate([[0], ends])[: -(-len(shards) // self.window)]
        return _Epoch(shards, starts.astype(np.int64))

    def _make_window(self, epoch: int, window: int) -> tuple[IntArray, IntArray, IntArray]:
        """The window's shards, where each starts among its samples, and its samples, shuffled."""
        first = window * self.window
        shards = self._epoch(epoch).shards[first : first + self.window]
        sizes = self.samples[shards]
        shuffled = np.random.default_rng([self.seed, epoch, 1 + first]).permutation(
            int(sizes.sum())
        )
        return shards, np.cumsum(sizes) - sizes, shuffled
