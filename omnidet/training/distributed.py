"""The only module that knows about ranks: process group, sums over ranks, DDP and FSDP2."""

from __future__ import annotations

import functools
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeVar

import torch
import torch.distributed
from torch import Tensor, nn
from torch.distributed import PrefixStore, rendezvous  # type: ignore[attr-defined]
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor import DTensor, distribute_tensor
from torch.nn.parallel import DistributedDataParallel

from omnidet.training import watch
from omnidet.training.config import PARALLEL

TIMEOUT_SECONDS = 900.0
"""Limit for one collective.

Longer than any wait that may end well, such as for an object store that does not answer; `watch.py`
notices a dead rank long before.
"""
JOIN_SECONDS = 180.0
"""Limit for finding the other ranks. torchrun starts them together, so this covers their imports.
"""

T = TypeVar("T")


@dataclass(frozen=True)
class World:
    """This process among all ranks."""

    rank: int
    size: int
    device: torch.device

    @property
    def is_main(self) -> bool:
        """Whether this rank writes logs, metrics and checkpoints."""
        return self.rank == 0


@contextmanager
def world() -> Iterator[World]:
    """Join the process group that torchrun's environment describes; without one, be the only rank.

    A rank that fails tells the others why, and they end as well, so none is left waiting in a
    collective. Raises ConnectionError in a rank that sees another one disappear.
    """
    local_rank = int(os.environ.get("LOCAL_RANK", "0"))
    device = torch.device("cuda", local_rank) if torch.cuda.is_available() else torch.device("cpu")
    if "WORLD_SIZE" not in os.environ:
        yield World(0, 1, device)
        return
    if device.type == "cuda":
        torch.cuda.set_device(device)
    timeout = timedelta(seconds=TIMEOUT_SECONDS)
    store, rank, size = next(iter(rendezvous("env://", timeout=timedelta(seconds=JOIN_SECONDS))))
    # After a restart torchrun's store still holds the addresses of the ranks that died. A rank that
    # read them would wait forever.
    store = PrefixStore(f"try-{os.environ.get('TORCHELASTIC_RESTART_COUNT', '0')}", store)
    backend = "nccl" if device.type == "cuda" else "gloo"
    torch.distributed.init_process_group(
        backend, store=store, rank=rank, world_size=size, timeout=timeout
    )
    here = World(torch.distributed.get_rank(), torch.distributed.get_world_size(), device)
    with watch.watch(here.rank, here.size) as guard:
        try:
            yield here
            # The ranks leave together: one that is done early must not look dead.
            torch.distributed.barrier()
        except SystemExit:  # all of them leave on purpose
            torch.distributed.destroy_process_group()
            raise
        except RuntimeError as error:
            reason = guard.reason_of_others()
            is_lost = isinstance(error, torch.distributed.DistError) or "onnection" in str(error)
            if reason is None and not is_lost:
                raise
            seen = (str(error).strip().splitlines() or ["?"])[0]
            why = reason or (
                "it ended without giving a reason; see torchrun's summary or the log of its node "
                f"({seen})"
            )
            raise ConnectionError(
                f"rank {here.rank} stops because another rank is gone: {why}"
            ) from error
    # Not after an error: this would wait for ranks that never come.
    torch.distributed.destroy_process_group()


def sum_over_ranks(value: Tensor) -> Tensor:
    """Sum of a tensor over all ranks; the tensor itself if there is only one rank."""
    if _is_joined():
        value = value.clone()
        torch.distributed.all_reduce(value)
    return value


def gather(value: T) -> list[T]:
    """The values of all ranks in their order, on every rank. For small, infrequent values."""
    if not _is_joined():
        return [value]
    found: list[Any] = [None] * torch.distributed.get_world_size()
    torch.distributed.all_gather_object(found, value)
    return found


def from_main(value: T) -> T:
    """The main rank's value, on every rank. For small, infrequent values."""
    if not _is_joined():
        return value
    shared = [value]
    torch.distributed.broadcast_object_list(shared, src=0)
    return shared[0]


def tensors_from_main(tensors: Mapping[str, Tensor], device: torch.device) -> dict[str, Tensor]:
    """The main rank's CPU tensors, on every rank, so that only one rank reads a file."""
    if not _is_joined():
        return dict(tensors)
    shapes = from_main({name: (tensor.shape, tensor.dtype) for name, tensor in tensors.items()})
    shared = {}
    for name, (shape, dtype) in shapes.items():
        whole = (
            tensors[name].to(device)
            if name in tensors
            else torch.empty(shape, dtype=dtype, device=device)
        )
        torch.distributed.broadcast(whole, src=0)
        shared[name] = whole.cpu()
    return shared


def is_main() -> bool:
    """Whether this is the main rank."""
    return not _is_joined() or torch.distributed.get_rank() == 0


def size() -> int:
    """How many ranks there are."""
    return torch.distributed.get_world_size() if _is_joined() else 1


def barrier() -> None:
    """Wait for all ranks."""
    if _is_joined():
        torch.distributed.barrier()


def parallel(model: nn.Module, world: World, mode: str = "ddp") -> nn.Module:
    """The model, with gradients averaged over ranks.

    `ddp` keeps everything on every rank. `fsdp2` shards weights, gradients, average and optimizer
    state over the ranks, block by block, and modifies the model in place; it is for backbones that
    would not fit otherwise. Make the optimizer after this call.
    """
    if mode not in PARALLEL:
        raise ValueError(f"train.parallel={mode!r}: expected {' or '.join(PARALLEL)}")
    if world.size == 1:
        return model
    if mode == "ddp":
        # Buffers are constants in this model, so there is nothing to send before each step.
        ids = [world.device] if world.device.type == "cuda" else None
        _give_gradients_the_layout_of_their_buckets(model)
        return DistributedDataParallel(
            model, device_ids=ids, forward_sync_buffers=False, gradient_as_bucket_view=True
        )
    for tensor in model.state_dict().values():
        # All ranks start with the weights of the main rank, as DDP does by itself.
        torch.distributed.broadcast(tensor, src=0)
    mesh = init_device_mesh(world.device.type, (world.size,))
    for name, part in model.named_modules():
        if name.rpartition(".")[2] == "blocks":  # timm's name for a transformer's blocks
            for block in part.children():
                fully_shard(block, mesh=mesh)
    fully_shard(model, mesh=mesh)
    return model


def _give_gradients_the_layout_of_their_buckets(model: nn.Module) -> None:
    """Spare DDP a copy a step, and people its warning, where strides differ in name only.

    The gradient of a 1x1 convolution (O, I, 1, 1) comes with the strides of the images' layout,
    such as (I, 1, I, I) where the weight has (I, 1, 1, 1). Along a side of length 1 no stride is
    ever walked, so the two lie in memory alike; DDP compares all of them.
    """
    for parameter in model.parameters():
        if parameter.requires_grad and 1 in parameter.shape[1:]:
            hook = functools.partial(_restrided, parameter.stride())
            parameter.register_hook(hook)  # type: ignore[no-untyped-call]


def _restrided(strides: tuple[int, ...], gradient: Tensor) -> Tensor:
    """The same memory with these strides, unless it is laid out in another way."""
    walked = [i for i, length in enumerate(gradient.shape) if length > 1]
    if any(gradient.stride(i) != strides[i] for i in walked):
        return gradient
    return gradient.as_strided(gradient.shape, strides)


def own_part(tensor: Tensor) -> Tensor:
    """This rank's shard of a tensor, or all of a tensor that is not sharded. Shares its memory."""
    return tensor.to_local() if isinstance(tensor, DTensor) else tensor


def own_rows(rows_N: Tensor, tensor: Tensor) -> Tensor:
    """Which of the rows are on this rank, as indices into its `own_part`."""
    chosen_T = torch.zeros(len(tensor), dtype=torch.bool, device=tensor.device)
    chosen_T[rows_N.to(tensor.device)] = True
    if isinstance(tensor, DTensor):
        chosen_T = distribute_tensor(chosen_T, tensor.device_mesh, tensor.placements).to_local()
    return chosen_T.nonzero()[:, 0]


def whole(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Copies on the CPU. Sharded tensors are gathered, so every rank must call this."""
    return {name: _whole(tensor.detach()) for name, tensor in tensors.items()}


def like(source: Tensor, target: Tensor) -> Tensor:
    """A whole tensor, equal on all ranks, in the form of `target`: same device, sharding, strides.

    AdamW's fused kernel goes through memory: a moment whose strides are not those of its weight, as
    in a network in channels-last order, would move other weights than its own.
    """
    if isinstance(target, DTensor):
        source = source.to(device=target.device, dtype=target.dtype)
        return distribute_tensor(source, target.device_mesh, target.placements)
    return torch.empty_like(target).copy_(source)


def whole_norm(norm: Tensor) -> Tensor:
    """The norm over the gradients of all shards, on every rank and on its device."""
    return norm.full_tensor() if isinstance(norm, DTensor) else norm


def _whole(tensor: Tensor) -> Tensor:
    if isinstance(tensor, DTensor):
        tensor = tensor.full_tensor()
    return tensor.contiguous().clone() if tensor.device.type == "cpu" else tensor.contiguous().cpu()


def _is_joined() -> bool:
    return torch.distributed.is_available() and torch.distributed.is_initialized()
