"""The loop learns, stops before damage is done, and goes on after a kill as if there were none."""

from __future__ import annotations

import dataclasses
import errno
import json
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from omnidet.data import shards
from omnidet.training import checkpoint, metrics
from tests import toy_runs, toys

ROOT = Path(__file__).parents[2]


@pytest.fixture
def index(tmp_path):
    return toys.write_shards(tmp_path / "shards")


def _weights(folder: Path) -> dict[str, torch.Tensor]:
    newest = Path(checkpoint.latest(folder / "checkpoints"))
    assert newest is not None
    state = {
        f"{name}:{k}": v
        for name in ("model", "average")
        for k, v in load_file(newest / f"{name}.safetensors").items()
    }
    return state | {
        f"optimizer:{k}": v for k, v in load_file(newest / "optimizer.safetensors").items()
    }


def _rows(folder: Path) -> list[dict[str, float]]:
    return metrics.read(folder / "metrics.jsonl")


def _assert_equal(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> None:
    assert one.keys() == other.keys()
    assert [name for name in one if not torch.equal(one[name], other[name])] == []


@pytest.mark.slow
def test_it_learns_and_logs(index, tmp_path):
    averaged = toy_runs.train(
        index, tmp_path / "run", train=dataclasses.replace(toy_runs.TRAIN, steps=60)
    )
    rows = metrics.read(tmp_path / "run" / "metrics.jsonl")
    assert [row["step"] for row in rows] == list(range(2, 61, 2))
    assert rows[-1]["loss"] < 0.8 * rows[0]["loss"]
    assert {
        "det/names",
        "grd/token_alignment",
        "img/caption",
        "learning_rate",
        "gradient_norm",
        "loss",
    } <= set(rows[0])
    assert "det/token_alignment" not in rows[0]
    assert not averaged.training
    own = load_file(Path(checkpoint.latest(tmp_path / "run" / "checkpoints")) / "model.safetensors")
    # It returns the average and not the last weights.
    assert not torch.equal(averaged.tokens.embeddings, own["tokens.embeddings"])


@pytest.mark.slow
def test_killed_twenty_times_it_ends_as_if_it_had_been_left_alone(tmp_path):
    """SIGKILL at random moments, six times within a checkpoint: the same bits and metric log."""
    ran = subprocess.run(
        [sys.executable, "-m", "tests.kills", str(tmp_path), "20"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert ran.returncode == 0, ran.stderr
    result = json.loads(ran.stdout.splitlines()[-1])
    assert result["codes"] == [0, 0]
    assert [end["code"] for end in result["ends"]] == [-signal.SIGKILL] * 20
    assert sum(end["in_checkpoint"] is not None for end in result["ends"]) == 6
    places = [end["checkpoint"] for end in result["ends"]]
    assert places == sorted(places, key=lambda place: place or "")
    assert len(set(places)) > 4  # kills all along the run
    assert "is damaged" not in ran.stderr
    _assert_equal(_weights(tmp_path / "whole"), _weights(tmp_path / "run"))
    assert (tmp_path / "run" / "metrics.jsonl").read_bytes() == (
        tmp_path / "whole" / "metrics.jsonl"
    ).read_bytes()
    left = sorted(p.name for p in (tmp_path / "run" / "checkpoints").iterdir())
    assert left == sorted(p.name for p in (tmp_path / "whole" / "checkpoints").iterdir())
    (kept,), (as_whole,) = (list((tmp_path / n / "best").iterdir()) for n in ("run", "whole"))
    assert kept.name == as_whole.name
    for file in ("index.json", "model.safetensors"):
        assert (kept / file).read_bytes() == (as_whole / file).read_bytes()


def test_measuring_changes_no_weight_and_the_best_is_kept(index, tmp_path):
    toy_runs.train(index, tmp_path / "alone")
    scoring = toy_runs.toy_scoring(tmp_path / "run", 5)
    toy_runs.train(index, tmp_path / "run", scoring=scoring)
    _assert_equal(_weights(tmp_path / "alone"), _weights(tmp_path / "run"))
    rows = _rows(tmp_path / "run")
    assert [row for row in rows if "loss" in row] == _rows(tmp_path / "alone")
    scores = {row["step"]: row["AP"] for row in rows if "AP" in row}
    assert list(scores) == [5, 10, 12]
    (kept,) = (tmp_path / "run" / "best").iterdir()
    assert int(kept.name) == max(scores, key=lambda step: scores[step])


def test_sigterm_writes_a_checkpoint_and_exits_with_the_restart_code(index, tmp_path, capsys):
    toy_runs.train(index, tmp_path / "whole")
    capsys.readouterr()
    ask = toy_runs.at_call(
        toys.LOSSES[-1], 5, lambda term: (signal.raise_signal(signal.SIGTERM), term)[1]
    )
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(SystemExit) as left:
        toy_runs.train(index, tmp_path / "run", (*toys.LOSSES[:-1], ask))
    assert left.value.code == 75
    assert signal.getsignal(signal.SIGTERM) is before
    newest = Path(checkpoint.latest(tmp_path / "run" / "checkpoints"))
    assert newest.name == "00000006"  # the step was finished
    (line,) = [line for line in capsys.readouterr().err.splitlines() if "SIGTERM" in line]
    assert "after step 6" in line
    assert "exit code 75" in line
    toy_runs.train(index, tmp_path / "run")
    _assert_equal(_weights(tmp_path / "whole"), _weights(tmp_path / "run"))
    assert _rows(tmp_path / "run") == _rows(tmp_path / "whole")


@pytest.mark.slow
def test_a_damaged_newest_checkpoint_costs_the_steps_since_the_one_before(index, tmp_path, capsys):
    toy_runs.train(index, tmp_path / "whole")
    toy_runs.train(index, tmp_path / "run")
    newest = Path(checkpoint.latest(tmp_path / "run" / "checkpoints"))
    (newest / "average.safetensors").write_bytes(b"\0" * 100)
    capsys.readouterr()
    toy_runs.train(index, tmp_path / "run")
    assert f"checkpoint {newest} is damaged (average.safetensors" in capsys.readouterr().err
    _assert_equal(_weights(tmp_path / "whole"), _weights(tmp_path / "run"))
    assert _rows(tmp_path / "run") == _rows(tmp_path / "whole")


def test_a_checkpoint_names_the_data_and_the_step(index, tmp_path):
    toy_runs.train(
        index,
        tmp_path / "run",
        provenance={"vocabulary_hash": "ab", "shards": {"train/coco": {"a.tar": "cd"}}},
    )
    newest = Path(checkpoint.latest(tmp_path / "run" / "checkpoints"))
    assert json.loads((newest / "provenance.json").read_text())["shards"] == {
        "train/coco": {"a.tar": "cd"}
    }
    facts = json.loads((newest / "index.json").read_text())
    assert facts["loader"] == {"step": 12}
    assert facts["world_size"] == 1
    assert facts["schedule"]["last_step"] == 12
    assert set(facts["sha256"]) == {p.name for p in newest.iterdir()} - {"index.json"}


def test_training_does_not_wait_for_a_checkpoint(index, tmp_path, monkeypatch):
    """Writing the first one takes until the last steps; the run ends only when it is written."""
    done, real = threading.Event(), checkpoint.write

    def slow(folder, taken, *rest):
        assert done.wait(30)
        return real(folder, taken, *rest)

    monkeypatch.setattr(checkpoint, "write", slow)
    finish = toy_runs.at_call(toys.LOSSES[-1], 7, lambda term: (done.set(), term)[1])
    toy_runs.train(index, tmp_path / "run", (*toys.LOSSES[:-1], finish))
    assert Path(checkpoint.latest(tmp_path / "run" / "checkpoints")).name == "00000012"


@pytest.mark.slow
def test_a_full_disk_ends_the_run_and_the_last_checkpoint_stays(index, tmp_path, monkeypatch):
    real = checkpoint._to_disk

    def full(path):
        if "00000008" in str(path):
            raise OSError(errno.ENOSPC, "No space left on device")
        real(path)

    monkeypatch.setattr(checkpoint, "_to_disk", full)
    with pytest.raises(OSError, match=r"00000008 cannot be written \(.*No space"):
        toy_runs.train(index, tmp_path / "run")
    monkeypatch.undo()
    assert Path(checkpoint.latest(tmp_path / "run" / "checkpoints")).name == "00000004"
    toy_runs.train(index, tmp_path / "run")
    toy_runs.train(index, tmp_path / "whole")
    _assert_equal(_weights(tmp_path / "whole"), _weights(tmp_path / "run"))


# PyTorch raises where the process happens to be when the signal comes. In a callback of the
# garbage collector, as Hypothesis has one, Python drops that error, and PyTorch sees the dead
# process later.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_killed_loader_process_ends_the_run_with_one_line(index, tmp_path):
    def kill(term):
        os.kill(multiprocessing.active_children()[0].pid, signal.SIGKILL)
        return term

    began = time.monotonic()
    losses = (*toys.LOSSES[:-1], toy_runs.at_call(toys.LOSSES[-1], 3, kill))
    with pytest.raises(ChildProcessError, match=r"\(.*(killed|exited).*mixing\.workers") as caught:
        toy_runs.train(
            index,
            tmp_path / "run",
            losses,
            dataclasses.replace(toy_runs.TRAIN, steps=500),
            workers=2,
        )
    assert "\n" not in str(caught.value)
    assert time.monotonic() - began < 60


@pytest.mark.parametrize("workers", [0, 1])
def test_a_shard_that_vanishes_is_named(index, tmp_path, workers):
    def vanish(term):
        for path in (tmp_path / "shards").rglob("*.tar"):
            path.unlink()
        shards.open_shard.cache_clear()
        return term

    losses = (*toys.LOSSES[:-1], toy_runs.at_call(toys.LOSSES[-1], 1, vanish))
    config = dataclasses.replace(toy_runs.TRAIN, steps=200)
    with pytest.raises((FileNotFoundError, ValueError), match=r"\.tar") as caught:
        toy_runs.train(index, tmp_path / "run", losses, config, workers=workers)
    assert "\n" not in str(caught.value)


@pytest.mark.slow
def test_interrupted_and_resumed_is_the_same_to_the_bit(index, tmp_path):
    def stop(_term: object) -> None:
        raise KeyboardInterrupt

    toy_runs.train(index, tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        toy_runs.train(
            index, tmp_path / "run", (*toys.LOSSES[:-1], toy_runs.at_call(toys.LOSSES[-1], 9, stop))
        )
    toy_runs.train(index, tmp_path / "run")
    _assert_equal(_weights(tmp_path / "whole"), _weights(tmp_path / "run"))
    assert _rows(tmp_path / "run") == _rows(tmp_path / "whole")


@pytest.mark.slow
def test_the_number_of_workers_changes_nothing(index, tmp_path):
    toy_runs.train(index, tmp_path / "none", workers=0)
    toy_runs.train(index, tmp_path / "two", workers=2)
    _assert_equal(_weights(tmp_path / "none"), _weights(tmp_path / "two"))


def test_a_finished_run_is_not_trained_again(index, tmp_path):
    first = toy_runs.train(index, tmp_path / "run")
    stamp = (tmp_path / "run" / "metrics.jsonl").read_text()
    _assert_equal(
        dict(first.state_dict()), dict(toy_runs.train(index, tmp_path / "run").state_dict())
    )
    assert (tmp_path / "run" / "metrics.jsonl").read_text() == stamp


@pytest.mark.parametrize("value", [torch.nan, torch.inf])
def test_a_loss_that_is_not_finite_stops_before_the_update_and_is_named(
    index, tmp_path, value, monkeypatch
):
    def spoil(term):
        return dataclasses.replace(term, total_S=term.total_S * torch.tensor([1.0, value, 1.0]))

    updates = []
    real = torch.optim.AdamW.step
    monkeypatch.setattr(
        torch.optim.AdamW, "step", lambda self, *a, **k: (updates.append(1), real(self, *a, **k))[1]
    )
    losses = (toys.LOSSES[0], toy_runs.at_call(toys.LOSSES[1], 5, spoil), *toys.LOSSES[2:])
    with pytest.raises(FloatingPointError, match="step 5: grd/boxes_l1 is not finite"):
        toy_runs.train(index, tmp_path / "run", losses)
    assert len(updates) == 5
    assert Path(checkpoint.latest(tmp_path / "run" / "checkpoints")).name == "00000004"


def test_a_gradient_that_is_not_finite_stops_before_the_update(index, tmp_path, monkeypatch):
    class Bad(torch.autograd.Function):
        @staticmethod
        def forward(_ctx, total):
            return total.clone()

        @staticmethod
        def backward(_ctx, gradient):
            return gradient * torch.nan

    updates = []
    real = torch.optim.AdamW.step
    monkeypatch.setattr(
        torch.optim.AdamW, "step", lambda self, *a, **k: (updates.append(1), real(self, *a, **k))[1]
    )

    def spoil(term):
        return dataclasses.replace(term, total_S=Bad.apply(term.total_S))

    losses = (toy_runs.at_call(toys.LOSSES[0], 3, spoil), *toys.LOSSES[1:])
    with pytest.raises(FloatingPointError, match="step 3: gradient norm is not finite"):
        toy_runs.train(index, tmp_path / "run", losses)
    assert len(updates) == 3


def test_scores_that_are_not_finite_stop_the_run_and_the_step_is_named(index, tmp_path):
    hook_calls = []

    def spoil(module, _arguments, output):
        hook_calls.append(1)
        return output * torch.nan if len(hook_calls) == 3 else output

    original = toys.Detector.__init__

    def with_hook(self, *arguments):
        original(self, *arguments)
        self.head.embedding.register_forward_hook(spoil)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(toys.Detector, "__init__", with_hook)
        with pytest.raises(FloatingPointError, match="step 1: matching cost is not finite"):
            toy_runs.train(index, tmp_path / "run")


def test_bfloat16_trains_on_the_cpu(index, tmp_path):
    half = toy_runs.train(
        index, tmp_path / "half", train=dataclasses.replace(toy_runs.TRAIN, precision="bfloat16")
    )
    exact = toy_runs.train(index, tmp_path / "exact")
    assert all(tensor.dtype != torch.bfloat16 for tensor in half.state_dict().values())
    losses = [[row["loss"] for row in _rows(tmp_path / name)] for name in ("half", "exact")]
    assert losses[0] != losses[1]
    assert losses[0] == pytest.approx(losses[1], rel=0.05)
    assert not torch.equal(half.tokens.embeddings, exact.tokens.embeddings)


def test_the_average_follows_from_the_first_step(index, tmp_path):
    steps = dataclasses.replace(toy_runs.TRAIN, steps=2, checkpoint_every=1, log_every=1)
    toy_runs.train(index, tmp_path / "run", train=steps)
    folder = tmp_path / "run" / "checkpoints"
    parts = {
        n: [load_file(folder / f"{s:08d}" / f"{n}.safetensors") for s in (1, 2)]
        for n in ("model", "average")
    }
    name = "tokens.embeddings"
    # The first update copies the weights; the second keeps (1 + 1) / (10 + 1) of the old average.
    torch.testing.assert_close(parts["average"][0][name], parts["model"][0][name])
    expected = torch.lerp(parts["model"][1][name], parts["model"][0][name], 2 / 11)
    torch.testing.assert_close(parts["average"][1][name], expected)
    facts = json.loads((folder / "00000002" / "index.json").read_text())
    assert (facts["step"], facts["loader"]) == (2, {"step": 2})
