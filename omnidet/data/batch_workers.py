"""Processes that make batches, and how a batch comes from one to the next.

Images are written once, by the worker, into memory that all processes share and that is used again and again: fresh shared
memory costs as much as decoding (each of its pages is a fault in both processes). The rest of a batch is small and comes
through a pipe.
"""

from __future__ import annotations

import dataclasses
import io
import mmap
import pickle
from collections.abc import Iterator
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from omnidet.schema import Batch

PREFETCHED = 4
"""Batches that each worker makes ahead."""


class Maker(Protocol):
    """What makes batches: `Mixture`."""

    @property
    def num_bytes(self) -> int:
        """Size of the images of a step."""

    def make(self, step: int, memory: npt.NDArray[np.uint8] | None = None) -> Batch:
        """The batch of a step, its images in `memory`."""


def batches(maker: Maker, steps: range, num_workers: int) -> Iterator[Batch]:
    """The batches of the steps, in order; the same for any number of workers, 0 for none.

    Raises what making a batch raises, in its own words.
    """
    if not num_workers or not steps:
        for step in steps:
            yield maker.make(step)
        return
    # A worker begins a batch only when the one that lies this many before has been handed out.
    slots = _Slots(maker.num_bytes, num_workers * PREFETCHED + 1)
    loader = DataLoader(
        _Steps(maker, slots),
        batch_size=None,
        sampler=steps,
        num_workers=num_workers,
        collate_fn=_as_it_is,  # type: ignore[arg-type]
        prefetch_factor=PREFETCHED,
        worker_init_fn=_use_one_thread,
        multiprocessing_context="fork",
    )
    made = iter(loader)
    for step in steps:
        try:
            packed = next(made)
        except (ValueError, OSError) as error:
            # A worker's error comes with its traceback as text: the last line is what it says.
            if "DataLoader worker process" not in str(error):
                raise
            raise type(error)(str(error).strip().splitlines()[-1].removeprefix(f"{type(error).__name__}: ")) from error
        yield _unpacked(packed, slots[step])


class _Slots:
    """Shared memory for the images of some steps, inherited by forked workers."""

    def __init__(self, num_bytes: int, count: int) -> None:
        self.memory, self.num_bytes, self.count = mmap.mmap(-1, max(1, num_bytes * count)), num_bytes, count

    def __getitem__(self, step: int) -> npt.NDArray[np.uint8]:
        return np.frombuffer(self.memory, np.uint8, self.num_bytes, step % self.count * self.num_bytes)


class _Steps(Dataset[bytes]):
    """What a worker runs."""

    def __init__(self, maker: Maker, slots: _Slots) -> None:
        self.maker, self.slots = maker, slots

    def __getitem__(self, step: int) -> bytes:
        batch = self.maker.make(step, self.slots[step])
        packed = io.BytesIO()
        _Pickler(packed, protocol=pickle.HIGHEST_PROTOCOL).dump(_without_images(batch))
        return packed.getvalue()


class _Pickler(pickle.Pickler):
    """Tensors as arrays: torch's own way is a file of shared memory for each of them."""

    def reducer_override(self, value: Any) -> Any:
        if isinstance(value, Tensor):
            return torch.from_numpy, (value.contiguous().numpy(),)
        return NotImplemented


def _without_images(batch: Batch) -> tuple[list[tuple[int, ...]], Batch]:
    """The shapes (B, H, W, C) of the images of each group, and the batch with none."""
    shapes = [tuple(group.images_BCHW.permute(0, 2, 3, 1).shape) for group in batch.groups()]
    nothing = torch.zeros(0, dtype=torch.uint8)
    more = tuple(dataclasses.replace(group, images_BCHW=nothing) for group in batch.more)
    return shapes, dataclasses.replace(batch, images_BCHW=nothing, more=more)


def _unpacked(packed: bytes, memory: npt.NDArray[np.uint8]) -> Batch:
    given: tuple[list[tuple[int, ...]], Batch] = pickle.loads(packed)  # of our own worker
    shapes, batch = given
    groups, start = [], 0
    for group, shape in zip(batch.groups(), shapes, strict=True):
        # Page-locked memory is what a GPU reads without a copy in between.
        images_BHWC = torch.empty(shape, dtype=torch.uint8, pin_memory=torch.cuda.is_available())
        size = images_BHWC.numel()
        images_BHWC.numpy()[...] = memory[start : start + size].reshape(shape)
        start += size
        groups.append(dataclasses.replace(group, images_BCHW=images_BHWC.permute(0, 3, 1, 2)))
    return dataclasses.replace(groups[0], more=tuple(groups[1:]))


def _as_it_is(packed: bytes) -> bytes:
    return packed


def _use_one_thread(_worker: int) -> None:
    torch.set_num_threads(1)
