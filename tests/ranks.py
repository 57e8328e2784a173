"""Toy steps and toy runs on several gloo ranks, each a real process.

`python -m tests.ranks gradients FOLDER` writes the gradients of one step for several splits, `runs`
trains on several numbers of ranks, and `deaths` lets a rank die: they import once and fork the
ranks. `torchrun ... -m tests.ranks member FOLDER` is one rank of a run that dies twice.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import json
import os
import signal
import socket
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from omnidet.data import shards
from omnidet.matching.config import CostConfig
from omnidet.matching.cost import match
from omnidet.matching.hungarian import hungarian
from omnidet.model.backbones.timm_features import TimmFeatures
from omnidet.training import distributed, watch
from omnidet.training.config import PARALLEL
from omnidet.training.objective import objective
from omnidet.training.stop import InterruptedRunError
from tests import kills, toy_runs, toys

SPLITS: dict[str, tuple[list[int], ...]] = {
    "1": ([0, 1, 2, 3, 4],),
    "2": ([0, 2], [1, 3, 4]),
    "2, of two sizes": ([0, 2], [1, 3, 4]),
    "2, one without boxes": ([0, 1, 2], [3, 4]),
    "4, two without boxes": ([0], [1, 2], [3], [4]),
    "4, each stream on one": ([0, 1], [2], [3], [4]),
}
"""Images of each rank."""
MODEL = dataclasses.replace(
    toys.MODEL, backbone=dataclasses.replace(toys.MODEL.backbone, drop_path=0.0)
)
"""Without stochastic depth, which each rank draws for itself."""
TRAIN = dataclasses.replace(
    toy_runs.TRAIN,
    steps=8,
    checkpoint_every=4,
    log_every=2,
    optimizer=dataclasses.replace(toy_runs.TRAIN.optimizer, new_token_rate=5),
)
NEW_ROWS = (0, 3, toys.toy_vocabulary().num_tokens - 1)
"""Rows on both of two ranks, if the token table is sharded."""


def fork_ranks(size: int, action: Callable[[distributed.World], None]) -> list[int]:
    """Run the action on each of `size` ranks; return their exit codes."""
    return [
        os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in start_ranks(size, action)
    ]


def start_ranks(size: int, action: Callable[[distributed.World], None]) -> list[int]:
    """Start the ranks; return their process ids."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]

    def rank(number: int) -> None:
        os.environ |= {
            "RANK": str(number),
            "WORLD_SIZE": str(size),
            "MASTER_ADDR": "127.0.0.1",
            "MASTER_PORT": str(port),
        }
        with distributed.world() as world:
            assert (world.rank, world.size, world.is_main) == (number, size, number == 0)
            action(world)

    return [kills.fork(lambda n=n: rank(n)) for n in range(size)]


def backward(
    world: distributed.World, images: list[int], mode: str = "ddp", in_groups: bool = False
) -> dict[str, torch.Tensor]:
    """Gradients of one real step on some images of the toy batch.

    Args:
        in_groups: as two batches, as if the images' sizes differed.
    """
    detector = toys.toy_detector()
    model = distributed.parallel(detector, world, mode)
    batch = toys.select(toys.batch(), images)
    if in_groups:
        batch = dataclasses.replace(
            toys.select(batch, [0]), more=(toys.select(batch, list(range(1, len(images)))),)
        )
    predictions = model(batch)
    matches = match(predictions, batch, CostConfig(), hungarian)
    loss, _ = objective(toys.LOSSES, toys.STREAMS, world.size, predictions, batch, matches)
    loss.backward()
    return distributed.whole(
        {name: parameter.grad for name, parameter in detector.named_parameters()}
    )


def gradients(folder: Path) -> list[list[int]]:
    """Write the gradients of each split with DDP, and of some with FSDP2, as `<name>.<rank>.pt`."""
    codes = []
    for name, split in SPLITS.items():
        for mode in PARALLEL:
            if mode == "ddp" or name.startswith("2"):

                def act(world: distributed.World, split=split, name=name, mode=mode) -> None:
                    torch.save(
                        backward(world, split[world.rank], mode, "sizes" in name),
                        folder / f"{name}.{mode}.{world.rank}.pt",
                    )

                codes.append(fork_ranks(len(split), act))
    return codes


def train(world: distributed.World, folder: Path, mode: str = "ddp", stop: bool = False) -> None:
    """A toy run of this rank in `folder`; with `stop`, all ranks get SIGTERM in the fourth step."""
    index = shards.read_index(str(folder.parent / "shards"))
    losses = (*toys.LOSSES[:-1], _signalled(3, signal.SIGTERM)) if stop else toys.LOSSES
    config = dataclasses.replace(TRAIN, parallel=mode)
    toy_runs.train(index, folder, losses, config, world=world, model=MODEL, new_rows=NEW_ROWS)


def _signalled(call: int, number: signal.Signals) -> toys.WeightedLoss:
    return toy_runs.at_call(
        toys.LOSSES[-1], call, lambda term: (os.kill(os.getpid(), number), term)[1]
    )


def runs(folder: Path) -> list[list[int]]:
    """The same run on one rank, on two, and on two with FSDP2.

    Two more stop half-way and go on with another number of ranks.
    """
    toys.write_shards(folder / "shards")
    codes = [fork_ranks(1, lambda world: train(world, folder / "one"))]
    codes.append(fork_ranks(2, lambda world: train(world, folder / "two")))
    codes.append(fork_ranks(2, lambda world: train(world, folder / "sharded", "fsdp2")))
    codes.append(
        fork_ranks(2, lambda world: train(world, folder / "sharded-then-one", "fsdp2", stop=True))
    )
    codes.append(fork_ranks(1, lambda world: train(world, folder / "sharded-then-one")))
    codes.append(fork_ranks(1, lambda world: train(world, folder / "one-then-two", stop=True)))
    codes.append(fork_ranks(2, lambda world: train(world, folder / "one-then-two")))
    return codes


def deaths(_folder: Path) -> dict[str, Any]:
    """One of three ranks fails, is killed or hangs, while the others wait in a collective."""
    watch.BEAT_SECONDS, watch.SILENT_SECONDS = 0.5, 5.0
    cases = {}
    for case in ("fails", "killed", "stopped"):

        def act(world: distributed.World, case: str = case) -> None:
            distributed.barrier()
            if world.rank == 1:
                if case == "fails":
                    raise FloatingPointError("step 7: det/names is not finite")
                os.kill(os.getpid(), signal.SIGKILL if case == "killed" else signal.SIGSTOP)
            distributed.sum_over_ranks(torch.ones(2))

        print(f"case {case}", file=sys.stderr, flush=True)
        began = time.monotonic()
        children = start_ranks(3, act)
        codes = {n: os.waitstatus_to_exitcode(os.waitpid(children[n], 0)[1]) for n in (0, 2)}
        seconds = time.monotonic() - began
        with contextlib.suppress(ProcessLookupError):
            os.kill(children[1], signal.SIGKILL)
        os.waitpid(children[1], 0)
        cases[case] = {"codes": sorted(codes.items()), "seconds": seconds}
    return cases


def member(folder: Path) -> None:
    """A rank under torchrun: rank 1 gets SIGTERM, then rank 0 is killed, then the run completes."""
    attempt = int(os.environ["TORCHELASTIC_RESTART_COUNT"])
    rank = int(os.environ["RANK"])
    losses = toys.LOSSES
    deadly = {(0, 1): signal.SIGTERM, (1, 0): signal.SIGKILL}.get((attempt, rank))
    if deadly:
        losses = (*losses[:-1], _signalled(5, deadly))
    try:
        with distributed.world() as world:
            config = dataclasses.replace(TRAIN, steps=24, checkpoint_every=4)
            toy_runs.train(
                shards.read_index(str(folder / "shards")),
                folder / "run",
                losses,
                config,
                world=world,
            )
    except InterruptedRunError as interrupted:
        (folder / f"interrupted.{attempt}.{rank}").write_text(str(interrupted.step))
        raise


def half(folder: Path) -> list[list[int]]:
    """The same run in bfloat16 on one rank, on two with FSDP2, and there with compiled parts."""
    toys.write_shards(folder / "shards")
    index = shards.read_index(str(folder / "shards"))
    # The compiler's own front end: its code for this machine would take a minute to make.
    torch.nn.Module.compile = functools.partialmethod(  # type: ignore[assignment]
        torch.nn.Module.compile, backend="aot_eager"
    )

    def act(world: distributed.World, name: str, **settings: object) -> None:
        config = dataclasses.replace(TRAIN, precision="bfloat16", **settings)  # type: ignore[arg-type]
        toy_runs.train(index, folder / name, toys.LOSSES, config, world=world, model=MODEL)
        counted = torch._dynamo.utils.counters["stats"]["unique_graphs"]
        (folder / f"{name}.{world.rank}.graphs").write_text(str(counted))

    return [
        fork_ranks(1, lambda world: act(world, "one")),
        fork_ranks(2, lambda world: act(world, "sharded", parallel="fsdp2")),
        fork_ranks(2, lambda world: act(world, "compiled", parallel="fsdp2", compile=True)),
    ]


def layouts(folder: Path) -> None:
    """A rank under torchrun: steps of 1x1 convolutions on images in another layout than theirs.

    Writes the gradients as `layouts.<rank>.pt`; `folder` ending in `plain` leaves DDP as it is.
    """
    with distributed.world() as world:
        torch.manual_seed(0)
        layers = [torch.nn.Conv2d(24, 16, 1), torch.nn.GELU(), torch.nn.Conv2d(16, 1, 1)]
        model = torch.nn.Sequential(*layers)
        whole = (
            torch.nn.parallel.DistributedDataParallel(model, gradient_as_bucket_view=True)
            if folder.name == "plain"
            else distributed.parallel(model, world)
        )
        for _ in range(2):
            images = torch.randn(16, 24, 8, 8).to(memory_format=torch.channels_last)
            whole.zero_grad()
            whole(images).square().sum().backward()
        gradients = {name: p.grad for name, p in model.named_parameters()}
        torch.save(distributed.whole(gradients), folder / f"layouts.{world.rank}.pt")


def idle(folder: Path) -> list[int]:
    """Two steps with a network of which parts give no token anything."""
    index = toys.write_shards(folder / "shards")
    hrnet = TimmFeatures("hrnet_w18_small", "random", width=32, depth=1, num_heads=2)
    model = dataclasses.replace(MODEL, backbone=hrnet)
    config = dataclasses.replace(TRAIN, steps=2, checkpoint_every=2, log_every=1)

    def act(world: distributed.World) -> None:
        toy_runs.train(index, folder / "run", toys.LOSSES, config, world=world, model=model)

    return fork_ranks(2, act)


def drained(folder: Path) -> None:
    """A rank under torchrun, with processes that make batches, until something stops it."""
    with distributed.world() as world:
        config = dataclasses.replace(TRAIN, steps=5000, checkpoint_every=5000, log_every=1)
        index = shards.read_index(str(folder / "shards"))
        toy_runs.train(index, folder / "run", toys.LOSSES, config, workers=2, world=world)


if __name__ == "__main__":
    torch.set_num_threads(1)
    case, place = sys.argv[1], Path(sys.argv[2])
    cases = (gradients, runs, half, deaths, member, drained, layouts, idle)
    result = {action.__name__: action for action in cases}[case](place)
    if result is not None:
        print(json.dumps(result))
