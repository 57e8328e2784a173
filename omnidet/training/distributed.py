"""The only place that knows of ranks: process group, sums over ranks, DDP."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
import torch.distributed
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel


@dataclass(frozen=True)
class World:
    """This process among all."""

    rank: int
    size: int
    device: torch.device

    @property
    def is_main(self) -> bool:
        """Whether this rank writes logs, metrics and checkpoints."""
        return self.rank == 0


@contextmanager
def world() -> Iterator[World]:
    """Join the process group that torchrun's environment describes, or be alone."""
    local_rank = int(os.environ.get("LOCAL_RANK", "0"))
    device = torch.device("cuda", local_rank) if torch.cuda.is_available() else torch.device("cpu")
    if "WORLD_SIZE" not in os.environ:
        yield World(0, 1, device)
        return
    if device.type == "cuda":
        torch.cuda.set_device(device)
    torch.distributed.init_process_group("nccl" if device.type == "cuda" else "gloo")
    try:
        yield World(torch.distributed.get_rank(), torch.distributed.get_world_size(), device)
    finally:
        torch.distributed.destroy_process_group()


def sum_over_ranks(value: Tensor) -> Tensor:
    """Sum of a tensor over all ranks; the tensor itself where there is one rank."""
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        value = value.clone()
        torch.distributed.all_reduce(value)
    return value


def parallel(model: nn.Module, world: World) -> nn.Module:
    """The model with gradients averaged over ranks."""
    if world.size == 1:
        return model
    return DistributedDataParallel(model, device_ids=[world.device] if world.device.type == "cuda" else None)
