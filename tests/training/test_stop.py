"""SIGTERM as it comes in earnest: to torchrun, which passes it to the whole group of a rank's processes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from omnidet.training import checkpoint, metrics
from tests import toys

ROOT = Path(__file__).parents[2]


def _start(folder: Path, ranks: int) -> subprocess.Popen[str]:
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    return subprocess.Popen(
        [*torchrun, f"--nproc-per-node={ranks}", "-m", "tests.ranks", "drained", str(folder)],
        cwd=ROOT, env=os.environ | {"OMP_NUM_THREADS": "1"}, stderr=subprocess.PIPE, text=True,
        start_new_session=True,
    )  # fmt: skip


def _wait_for_steps(folder: Path, count: int) -> None:
    for _ in range(600):
        log = folder / "run" / "metrics.jsonl"
        if log.is_file() and log.read_text().count("\n") >= count:
            return
        time.sleep(0.1)
    raise AssertionError("the training does not get on")


@pytest.mark.slow
@pytest.mark.parametrize("ranks", [1, 2])
@pytest.mark.parametrize("to_the_group", [False, True], ids=["torchrun", "group"])
def test_a_drained_node_leaves_a_checkpoint_and_no_process(tmp_path, ranks, to_the_group):
    """`group`: the signal also comes from a terminal or a container runtime, to every process there."""
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
        _, said = ran.communicate(timeout=60)
    finally:
        ran.kill()
    assert ran.returncode != 0
    assert "a process that makes batches died" not in said
    assert "stopped by SIGTERM after step" in said
    newest = checkpoint.latest(tmp_path / "run" / "checkpoints")
    assert newest is not None
    steps = [row["step"] for row in metrics.read(tmp_path / "run" / "metrics.jsonl")]
    assert int(Path(newest).name) == steps[-1]
    _, alive = psutil.wait_procs(family, timeout=10)
    assert alive == []
