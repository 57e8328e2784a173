"""SIGTERM is noted and acted on after the step; the handler that was there before comes back."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import psutil
import pytest
import torch

from omnidet.training import checkpoint, metrics
from omnidet.training.distributed import World
from omnidet.training.stop import (
    INTERRUPTED_EXIT_CODE,
    RESTART_EXIT_CODE,
    InterruptedRunError,
    StopSignal,
)
from tests import toys

ROOT = Path(__file__).parents[2]
ALONE = World(0, 1, torch.device("cpu"))


def test_the_signal_is_noted_and_nothing_else_happens():
    before = signal.getsignal(signal.SIGTERM)
    with StopSignal(ALONE) as stop:
        assert not stop.agreed()
        signal.raise_signal(signal.SIGTERM)
        assert stop.agreed()
        assert stop.agreed()
    assert signal.getsignal(signal.SIGTERM) is before


def test_the_handler_comes_back_after_an_error():
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(KeyboardInterrupt), StopSignal(ALONE):
        raise KeyboardInterrupt
    assert signal.getsignal(signal.SIGTERM) is before


def test_a_forked_worker_of_the_loader_ends_at_once():
    with StopSignal(ALONE) as stop:
        child = os.fork()
        if not child:
            signal.raise_signal(signal.SIGTERM)
            os._exit(0)  # not reached
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 128 + signal.SIGTERM
        assert not stop.agreed()


def test_in_another_thread_no_handler_is_set():
    before, agreed = signal.getsignal(signal.SIGTERM), []

    def train() -> None:
        with StopSignal(ALONE) as stop:
            assert signal.getsignal(signal.SIGTERM) is before
            agreed.append(stop.agreed())

    thread = threading.Thread(target=train)
    thread.start()
    thread.join()
    assert agreed == [False]


def test_an_interrupted_run_exits_with_the_code_for_a_restart():
    interrupted = InterruptedRunError(7)
    assert (interrupted.code, interrupted.step) == (RESTART_EXIT_CODE, 7)
    assert isinstance(interrupted, SystemExit)


def _start(folder: Path, ranks: int) -> subprocess.Popen[str]:
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    return subprocess.Popen(
        [*torchrun, f"--nproc-per-node={ranks}", "-m", "tests.ranks", "drained", str(folder)],
        cwd=ROOT,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def _wait_for_steps(folder: Path, count: int) -> None:
    give_up_at = time.monotonic() + 400  # seconds on a quiet machine
    while time.monotonic() < give_up_at:
        log = folder / "run" / "metrics.jsonl"
        if log.is_file() and log.read_text().count("\n") >= count:
            return
        time.sleep(0.1)
    raise AssertionError(f"the training did not reach {count} rows")


@pytest.mark.slow
def test_ctrl_c_keeps_what_was_reached(tmp_path):
    """From a terminal the signal reaches the whole group; the same command goes on from the
    checkpoint."""
    toys.write_shards(tmp_path / "shards")
    ran = subprocess.Popen(
        [sys.executable, "-m", "tests.ranks", "drained", str(tmp_path)],
        cwd=ROOT, env=os.environ | {"OMP_NUM_THREADS": "1"}, stderr=subprocess.PIPE, text=True,
        start_new_session=True,
    )  # fmt: skip
    try:
        _wait_for_steps(tmp_path, 3)
        os.killpg(ran.pid, signal.SIGINT)
        _, said = ran.communicate(timeout=400)
    finally:
        ran.kill()
    assert ran.returncode == INTERRUPTED_EXIT_CODE
    assert "Traceback" not in said
    assert "stopped by Ctrl-C after step" in said
    newest = checkpoint.latest(tmp_path / "run" / "checkpoints")
    assert newest is not None
    assert int(Path(newest).name) >= 3


@pytest.mark.slow
@pytest.mark.parametrize("ranks", [1, 2])
@pytest.mark.parametrize("to_the_group", [False, True], ids=["torchrun", "group"])
def test_a_drained_node_leaves_a_checkpoint_and_no_process(tmp_path, ranks, to_the_group):
    """`group`: terminals and container runtimes send the signal to every process there."""
    toys.write_shards(tmp_path / "shards")
    ran = _start(tmp_path, ranks)
    try:
        _wait_for_steps(tmp_path, 3)
        family = psutil.Process(ran.pid).children(recursive=True)
        assert len(family) >= 3 * ranks  # each rank with its two workers
        if to_the_group:
            os.killpg(ran.pid, signal.SIGTERM)
        else:
            os.kill(ran.pid, signal.SIGTERM)
        _, said = ran.communicate(timeout=400)
    finally:
        ran.kill()
    assert ran.returncode != 0
    assert "a process that makes batches died" not in said
    assert "stopped by SIGTERM after step" in said
    newest = checkpoint.latest(tmp_path / "run" / "checkpoints")
    assert newest is not None
    steps = [row["step"] for row in metrics.read(tmp_path / "run" / "metrics.jsonl")]
    assert int(Path(newest).name) == steps[-1]
    _, alive = psutil.wait_procs(family, timeout=60)
    assert alive == []
