"""Several ranks have the gradient of one; runs go on with another number of ranks."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from omnidet.training import checkpoint, distributed, metrics
from tests import ranks, toy_runs, toys

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.slow


def _ranks(case: str, folder: Path) -> list[list[int]]:
    ran = subprocess.run(
        [sys.executable, "-m", "tests.ranks", case, str(folder)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert ran.returncode == 0, ran.stderr
    return json.loads(ran.stdout.splitlines()[-1])


def test_any_split_over_ranks_has_the_gradient_of_one_process(tmp_path):
    codes = _ranks("gradients", tmp_path)
    assert not any(code for split in codes for code in split)
    alone = ranks.backward(distributed.World(0, 1, torch.device("cpu")), [0, 1, 2, 3, 4])
    files = sorted(tmp_path.glob("*.pt"))
    assert len(files) == sum(len(split) for split in ranks.SPLITS.values()) + 6
    for file in files:
        together = torch.load(file)
        assert together.keys() == alone.keys()
        for name, gradient in alone.items():
            torch.testing.assert_close(
                together[name],
                gradient,
                atol=1e-6,
                rtol=1e-5,
                msg=lambda m, n=name, f=file: f"{f.name} {n}: {m}",
            )


def _weights(folder: Path) -> dict[str, torch.Tensor]:
    return load_file(Path(checkpoint.latest(folder / "checkpoints")) / "average.safetensors")


def test_runs_on_several_ranks_end_where_one_does(tmp_path):
    """DDP, FSDP2, and runs that went on with another number of ranks: all see the same data."""
    assert _ranks("runs", tmp_path) == [[0], [0, 0], [0, 0], [75, 75], [0], [75], [0, 0]]
    one = _weights(tmp_path / "one")
    rows = metrics.read(tmp_path / "one" / "metrics.jsonl")
    for name in ("two", "sharded", "sharded-then-one", "one-then-two"):
        other, others = _weights(tmp_path / name), metrics.read(tmp_path / name / "metrics.jsonl")
        for key, weight in one.items():
            torch.testing.assert_close(
                other[key],
                weight,
                atol=2e-4,
                rtol=1e-3,
                msg=lambda m, n=name, k=key: f"{n} {k}: {m}",
            )
        assert [row.keys() for row in others] == [row.keys() for row in rows]
        for own, row in zip(others, rows, strict=True):  # the losses of all ranks, logged once
            assert own == pytest.approx(row, rel=2e-3, abs=2e-4)
    assert len(list((tmp_path / "two" / "events").iterdir())) == 1


def test_torchrun_goes_on_after_a_drained_node_and_a_killed_rank(tmp_path):
    """One of two ranks gets SIGTERM and both save; then one is killed; the third try completes."""
    toys.write_shards(tmp_path / "shards")
    torchrun = [
        sys.executable,
        "-m",
        "torch.distributed.run",
        "--standalone",
        "--nproc-per-node=2",
        "--max-restarts=3",
    ]
    ran = subprocess.run(
        [*torchrun, "-m", "tests.ranks", "member", str(tmp_path)],
        cwd=ROOT,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=200,
    )
    assert ran.returncode == 0, ran.stderr
    assert sorted(p.name for p in tmp_path.glob("interrupted.*")) == [
        "interrupted.0.0",
        "interrupted.0.1",
    ]
    assert {p.read_text() for p in tmp_path.glob("interrupted.*")} == {"7"}  # agreed on
    assert ran.stderr.count("stopped by SIGTERM after step 7") == 1
    assert "exitcode  : 75" in ran.stderr or "exitcode: 75" in ran.stderr or "75" in ran.stderr
    newest = Path(checkpoint.latest(tmp_path / "run" / "checkpoints"))
    assert newest.name == "00000024"
    assert [row["step"] for row in metrics.read(tmp_path / "run" / "metrics.jsonl")] == list(
        range(2, 25, 2)
    )


def test_gradients_of_1x1_convolutions_lie_as_their_buckets_do(tmp_path):
    """DDP copies a gradient that does not, and warns in each rank; plain DDP shows that it would
    here."""
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    said, gradients = {}, {}
    for case in ("plain", "own"):
        folder = tmp_path / case
        folder.mkdir()
        ran = subprocess.run(
            [*torchrun, "--nproc-per-node=2", "-m", "tests.ranks", "layouts", str(folder)],
            cwd=ROOT,
            env=os.environ | {"OMP_NUM_THREADS": "1"},
            capture_output=True,
            text=True,
            timeout=200,
        )
        assert ran.returncode == 0, ran.stderr
        said[case] = ran.stderr
        gradients[case] = torch.load(folder / "layouts.0.pt")
    assert "bucket view strides" in said["plain"]
    assert "bucket view strides" not in said["own"]
    torch.testing.assert_close(gradients["own"], gradients["plain"])


def test_ranks_do_not_wait_for_parts_that_no_token_depends_on(tmp_path):
    assert _ranks("idle", tmp_path) == [0, 0]
    assert [row["step"] for row in metrics.read(tmp_path / "run" / "metrics.jsonl")] == [1, 2]


def test_more_ranks_than_images_is_refused_at_the_start(tmp_path):
    index = toys.write_shards(tmp_path / "shards")
    crowd = distributed.World(0, 3, torch.device("cpu"))
    with pytest.raises(ValueError, match=r"3 ranks.*2 images_per_step"):
        toy_runs.train(index, tmp_path / "run", world=crowd)
