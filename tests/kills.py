"""`python -m tests.kills FOLDER KILLS`: a toy run that is killed repeatedly, and one that is not.

One process imports everything and forks each run, so that a start takes milliseconds and 20 kills
take seconds. Two of three kills come at a random time, the third while a checkpoint is written or
an old one removed. Prints as JSON what happened to each run.
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
from tests import toy_runs, toys

CONFIG = dataclasses.replace(toy_runs.TRAIN, steps=180, log_every=1, checkpoint_every=3)
SCORE_EVERY = 7
"""Steps after which weights are measured; the checkpoints are at others."""
SPARE = 60
"""Steps at the end without kills at random times, left for the kills in checkpoints."""


def main(folder: Path, kills: int) -> None:
    """Do all runs."""
    torch.set_num_threads(1)  # a process with threads must not be forked
    index = toys.write_shards(folder / "shards")
    chance = random.Random(0)
    ends = []
    for number in range(kills):
        in_checkpoint = chance.randrange(25) if number % 3 == 2 else None
        child = fork(lambda at=in_checkpoint: run(index, folder / "run", at))
        if in_checkpoint is None:
            # At the time drawn, or earlier on a fast machine, so that steps are left for later
            # kills.
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
    """Number of steps that a run has logged."""
    return log.read_bytes().count(b"\n") if log.exists() else 0


def run(index: toys.shards.Index, folder: Path, kill_at: int | None) -> None:
    """Train. The process is killed at file operation number `kill_at` of the checkpoints."""
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
    toy_runs.train(index, folder, train=CONFIG, scoring=toy_runs.toy_scoring(folder, SCORE_EVERY))


def fork(action: Callable[[], None]) -> int:
    """Process id of a child that runs the action, with exit code 0 on success."""
    child = os.fork()
    if child:
        return child
    try:
        action()
        sys.stderr.flush()
    except SystemExit as ended:
        os._exit(int(ended.code or 0))
    except BaseException as error:  # noqa: BLE001  # the child must not return into the parent's code
        print(f"{type(error).__name__}: {error}", file=sys.stderr, flush=True)
        os._exit(1)
    os._exit(0)


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
