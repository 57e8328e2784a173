"""The only place that knows of ranks: process group, sums over ranks, DDP and FSDP2."""

from __future__ import annotations

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
"""Of one collective. Longer than any wait that is allowed to end well, such as for an object store that is away; a rank that
dies is noticed by `watch.py`, long before."""
JOIN_SECONDS = 180.0
"""For finding the others at the start. torchrun starts the ranks together, so that this is for their imports."""

T = TypeVar("T")


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
    """Join the process group that torchrun's environment describes, or be alone.

    A rank that fails says why to all others, which then end as well: none is left waiting in a collective. Raises
    ConnectionError in a rank that notices first that another one is gone.
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
    # After a restart torchrun's store still holds the addresses of the ranks that died: one that reads them waits for ever.
    store = PrefixStore(f"try-{os.environ.get('TORCHELASTIC_RESTART_COUNT', '0')}", store)
    backend = "nccl" if device.type == "cuda" else "gloo"
    torch.distributed.init_process_group(
        backend, store=store, rank=rank, world_size=size, timeout=timeout
    )
    here = World(torch.distributed.get_rank(), torch.distributed.get_world_size(), device)
    with watch.watch(here.rank, here.size) as guard:
        try:
            yield here
            torch.distributed.barrier()  # the ranks leave together: who is done early must not look dead
        except SystemExit:  # all of them leave on purpose
            torch.distributed.destroy_process_group()
            raise
        except RuntimeError as error:
            reason = guard.reason_of_others()
            if (
                reason is None
                and not isinstance(error, torch.distributed.DistError)
                and "onnection" not in str(error)
            ):
                raise
            seen = (str(error).strip().splitlines() or ["?"])[0]
            said = (
                reason
                or f"it ended without a word; torchrun's summary, or the log of its node, says how ({seen})"
            )
            raise ConnectionError(
                f"rank {here.rank} stops, for another rank is gone: {said}"
            ) from error
    torch.distributed.destroy_process_group()  # not after an error: it would wait for ranks that never come


def sum_over_ranks(value: Tensor) -> Tensor:
    """Sum of a tensor over all ranks; the tensor itself where there is one rank."""
    if _is_joined():
        value = value.clone()
        torch.distributed.all_reduce(value)
    return value


def gather(value: T) -> list[T]:
    """What every rank gives, in the order of ranks; on all of them. For small things now and then."""
    if not _is_joined():
        return [value]
    found: list[Any] = [None] * torch.distributed.get_world_size()
    torch.distributed.all_gather_object(found, value)
    return found


def from_main(value: T) -> T:
    """What the main rank gives, on all ranks. For small things now and then."""
    if not _is_joined():
        return value
    shared = [value]
    torch.distributed.broadcast_object_list(shared, src=0)
    return shared[0]


def tensors_from_main(tensors: Mapping[str, Tensor], device: torch.device) -> dict[str, Tensor]:
    """CPU tensors of the main rank, on all ranks: one of them reads a file, whoever needs it."""
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


def barrier() -> None:
    """Wait for all ranks."""
    if _is_joined():
        torch.distributed.barrier()


def parallel(model: nn.Module, world: World, mode: str = "ddp") -> nn.Module:
    """The model with gradients averaged over ranks.

    `ddp` keeps everything on every rank. `fsdp2` shares weights, gradients, average and optimizer out over the ranks, block by
    block, and changes the model itself: for backbones that do not fit otherwise. Make the optimizer from the model after this.
    """
    if mode not in PARALLEL:
        raise ValueError(f"train.parallel={mode!r}: expected {' or '.join(PARALLEL)}")
    if world.size == 1:
        return model
    if mode == "ddp":
        # Buffers are constants here: there is nothing to send before each step.
        ids = [world.device] if world.device.type == "cuda" else None
        return DistributedDataParallel(
            model, device_ids=ids, forward_sync_buffers=False, gradient_as_bucket_view=True
        )
    for tensor in (
        model.state_dict().values()
    ):  # as DDP does by itself: all begin with the weights of the main rank
        torch.distributed.broadcast(tensor, src=0)
    mesh = init_device_mesh(world.device.type, (world.size,))
    for name, part in model.named_modules():
        if name.rpartition(".")[2] == "blocks":  # a transformer's, as timm names them
            for block in part.children():
                fully_shard(block, mesh=mesh)
    fully_shard(model, mesh=mesh)
    return model


def own_part(tensor: Tensor) -> Tensor:
    """The part of a tensor that stands on this rank; all of it where it is not shared out. Shares memory."""
    return tensor.to_local() if isinstance(tensor, DTensor) else tensor


def own_rows(rows_N: Tensor, tensor: Tensor) -> Tensor:
    """Those of the rows that stand on this rank, as their numbers in its `own_part`."""
    chosen_T = torch.zeros(len(tensor), dtype=torch.bool, device=tensor.device)
    chosen_T[rows_N.to(tensor.device)] = True
    if isinstance(tensor, DTensor):
        chosen_T = distribute_tensor(chosen_T, tensor.device_mesh, tensor.placements).to_local()
    return chosen_T.nonzero()[:, 0]


def whole(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Copies on the CPU; tensors that are shared out are put together, so every rank must call it."""
    return {name: _whole(tensor.detach()) for name, tensor in tensors.items()}


def like(source: Tensor, target: Tensor) -> Tensor:
    """A whole tensor, the same on all ranks, in the form of `target`: on its device, shared out as it is."""
    source = source.to(device=target.device, dtype=target.dtype)
    return (
        distribute_tensor(source, target.device_mesh, target.placements)
        if isinstance(target, DTensor)
        else source
    )


def whole_norm(norm: Tensor) -> Tensor:
    """A norm over gradients that are shared out, on every rank and where it is."""
    return norm.full_tensor() if isinstance(norm, DTensor) else norm


def _whole(tensor: Tensor) -> Tensor:
    if isinstance(tensor, DTensor):
        tensor = tensor.full_tensor()
    return tensor.contiguous().clone() if tensor.device.type == "cpu" else tensor.contiguous().cpu()


def _is_joined() -> bool:
    return torch.distributed.is_available() and torch.distributed.is_initialized()
