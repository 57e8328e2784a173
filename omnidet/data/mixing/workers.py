"""Processes that make batches, and how a batch gets from one process to another.

The worker writes images once, into memory that all processes share, and they are used in place. The
memory is reused when the batch is gone: fresh shared memory costs as much as decoding, since each
of its pages is a page fault in both processes. The rest of a batch is small and goes through a
pipe.
"""

from __future__ import annotations

import dataclasses
import io
import math
import mmap
import os
import pickle
import threading
import time
import weakref
from collections import deque
from collections.abc import Iterator, Sequence
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from omnidet.schema import Batch

PREFETCHED = 4
"""Number of batches that each worker makes in advance."""

HELD = 3
"""Number of batches that a consumer may keep; the images of further ones go through the pipe."""


class Maker(Protocol):
    """What makes batches; `Mixture` is one."""

    @property
    def num_bytes(self) -> int:
        """Size of the images of a step."""

    def make(self, step: int, memory: npt.NDArray[np.uint8] | None = None) -> Batch:
        """The batch of a step, its images in `memory`."""


def batches(maker: Maker, steps: range, num_workers: int) -> Iterator[Batch]:
    """The batches of the steps in order, the same for any number of workers; 0 workers is allowed.

    Raises what making a batch raises, with its own message.
    """
    if not num_workers or not steps:
        for step in steps:
            yield maker.make(step)
        return
    slots = _Slots(maker.num_bytes, num_workers * PREFETCHED + HELD)
    loader = DataLoader(
        _Steps(maker, slots),
        batch_size=None,
        sampler=_Tasks(steps, slots),
        num_workers=num_workers,
        collate_fn=_as_it_is,  # type: ignore[arg-type]
        prefetch_factor=PREFETCHED,
        worker_init_fn=_settle,
        multiprocessing_context="fork",
    )
    made = iter(loader)
    for _ in steps:
        try:
            packed = next(made)
        except (ValueError, OSError) as error:
            # torch wraps a worker's error into its traceback as text; the last line is the message.
            if "DataLoader worker process" not in str(error):
                raise
            last = str(error).strip().splitlines()[-1]
            raise type(error)(last.removeprefix(f"{type(error).__name__}: ")) from error
        yield _unpacked(packed, slots)


class _Slots:
    """Shared memory for the images of some steps; forked workers inherit it."""

    def __init__(self, num_bytes: int, count: int) -> None:
        self.memory, self.num_bytes = mmap.mmap(-1, max(1, num_bytes * count)), num_bytes
        self.free = deque(range(count))

    def take(self) -> int | None:
        """A free slot; None if the consumer keeps all of them."""
        return self.free.popleft() if self.free else None

    def __getitem__(self, slot: int) -> npt.NDArray[np.uint8]:
        return np.frombuffer(self.memory, np.uint8, self.num_bytes, slot * self.num_bytes)

    def lend(self, slot: int) -> npt.NDArray[np.uint8]:
        """The slot, which becomes free when the last tensor made from it is gone."""
        lent = self[slot]
        weakref.finalize(lent, self.free.append, slot).atexit = False
        return lent


class _Tasks:
    """What workers are to do: a step, and the slot for its images.

    The main process iterates over this while it hands out batches.
    """

    def __init__(self, steps: range, slots: _Slots) -> None:
        self.steps, self.slots = steps, slots

    def __iter__(self) -> Iterator[tuple[int, int | None]]:
        for step in self.steps:
            yield step, self.slots.take()


class _Steps(Dataset[bytes]):
    """What a worker runs: a task -> a batch, as bytes."""

    def __init__(self, maker: Maker, slots: _Slots) -> None:
        self.maker, self.slots = maker, slots

    def __getitem__(self, task: tuple[int, int | None]) -> bytes:
        step, slot = task
        batch = self.maker.make(step, None if slot is None else self.slots[slot])
        shapes = [tuple(group.images_BCHW.permute(0, 2, 3, 1).shape) for group in batch.groups()]
        if slot is not None:  # the images are in the slot already
            batch = _with_images(batch, [torch.zeros(0)] * len(shapes))
        packed = io.BytesIO()
        _Pickler(packed, protocol=pickle.HIGHEST_PROTOCOL).dump((slot, shapes, batch))
        return packed.getvalue()


class _Pickler(pickle.Pickler):
    """Pickles tensors as arrays; torch would make a file in shared memory for each of them."""

    def reducer_override(self, value: Any) -> Any:
        if isinstance(value, Tensor):
            return torch.from_numpy, (value.contiguous().numpy(),)
        return NotImplemented


def _unpacked(packed: bytes, slots: _Slots) -> Batch:
    content: tuple[int | None, list[tuple[int, ...]], Batch] = pickle.loads(packed)  # our worker's
    slot, shapes, batch = content
    if slot is None:
        return batch
    memory, images, start = torch.from_numpy(slots.lend(slot)), [], 0
    for shape in shapes:
        images_BHWC = memory[start : (start := start + math.prod(shape))].view(shape)
        if torch.cuda.is_available():  # a GPU reads page-locked memory without another copy
            images_BHWC = images_BHWC.pin_memory()
        images.append(images_BHWC.permute(0, 3, 1, 2))
    return _with_images(batch, images)


def _with_images(batch: Batch, images: Sequence[Tensor]) -> Batch:
    """The batch with other images: one tensor for each of its groups."""
    more = tuple(
        dataclasses.replace(group, images_BCHW=own)
        for group, own in zip(batch.more, images[1:], strict=True)
    )
    return dataclasses.replace(batch, images_BCHW=images[0], more=more)


def _as_it_is(packed: bytes) -> bytes:
    return packed


def _settle(_worker: int) -> None:
    # torchrun and terminals signal a whole process group. If workers ended at once, the rank would
    # lack the batch that it needs to reach its checkpoint. A group of their own keeps them until it
    # ends.
    os.setpgid(0, 0)
    torch.set_num_threads(1)
    threading.Thread(target=_end_with, args=(os.getppid(),), daemon=True).start()


def _end_with(parent: int) -> None:
    """End with the parent: torch's worker would wait forever for a reader of its batch."""
    while os.getppid() == parent:
        time.sleep(1)
    os._exit(1)
