"""`python -m tests.kills FOLDER KILLS`: a toy run that is killed again and again, and the same run left alone.

One process imports everything and forks each run, so that a start costs milliseconds: 20 kills are a matter of seconds. Two
kills of three come at a random time, the third while a checkpoint is written or an old one removed. Prints as JSON what
happened to each.
"""

from __future__ import annotations

import dataclasses
import json
import os
import random
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch

from omnidet import storage
from omnidet.training import checkpoint
from tests import toys

CONFIG = dataclasses.replace(toys.TRAIN, steps=180, log_every=1, checkpoint_every=3)
SPARE = 60
"""Steps before the end that kills at random times leave free: those in checkpoints need some to happen in."""


def main(folder: Path, kills: int) -> None:
    """Run it all."""
    torch.set_num_threads(1)  # a process with threads must not be forked
    index = toys.write_shards(folder / "shards")
    chance = random.Random(0)
    ends = []
    for number in range(kills):
        in_checkpoint = chance.randrange(25) if number % 3 == 2 else None
        child = fork(lambda at=in_checkpoint: run(index, folder / "run", at))
        if in_checkpoint is None:
            # At the time that was drawn or, on a fast machine, before the run has got so far that the other kills had no room.
            last = time.monotonic() + chance.uniform(0.02, 0.5)
            ceiling = (CONFIG.steps - SPARE) * (number + 1) // kills
            while time.monotonic() < last and _steps(folder / "run" / "metrics.jsonl") < ceiling:
                time.sleep(0.002)
            os.kill(child, signal.SIGKILL)
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        newest = checkpoint.latest(folder / "run" / "checkpoints")
        ends.append(
            {
                "in_checkpoint": in_checkpoint,
                "code": code,
                "checkpoint": newest and Path(newest).name,
            }
        )
    codes = []
    for name in ("run", "whole"):
        child = fork(lambda name=name: run(index, folder / name, None))
        codes.append(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
    print(json.dumps({"ends": ends, "codes": codes}))


def _steps(log: Path) -> int:
    """How far a run has got, by its log of every step."""
    return log.read_bytes().count(b"\n") if log.exists() else 0


def run(index: toys.shards.Index, folder: Path, kill_at: int | None) -> None:
    """Train; at file operation number `kill_at` of the checkpoints the process is killed."""
    count = -1

    def counted(action: Callable[..., object]) -> Callable[..., object]:
        def act(*arguments: object) -> object:
            nonlocal count
            count += 1
            if count == kill_at:
                os.kill(os.getpid(), signal.SIGKILL)
            return action(*arguments)

        return act

    checkpoint.save_file = counted(checkpoint.save_file)
    checkpoint._to_disk = counted(checkpoint._to_disk)
    storage.remove = counted(storage.remove)
    toys.train(index, folder, train=CONFIG)


def fork(action: Callable[[], None]) -> int:
    """Process id of a child that runs the action and ends with 0 if it went well."""
    child = os.fork()
    if child:
        return child
    try:
        action()
        sys.stderr.flush()
    except SystemExit as ended:
        os._exit(int(ended.code or 0))
    except BaseException as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr, flush=True)
        os._exit(1)
    os._exit(0)


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
