"""Two processes that write in one run's folder: the later one does, the earlier one ends."""

from __future__ import annotations

import dataclasses
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from omnidet import storage
from omnidet.training import checkpoint, generation
from omnidet.training.generation import Generation, SupersededError
from tests import toy_runs, toys

ROOT = Path(__file__).parents[2]


@pytest.fixture(params=["local", pytest.param("s3", marks=pytest.mark.s3)])
def folder(request, tmp_path) -> str:
    """Of a run."""
    if request.param == "local":
        return str(tmp_path / "run")
    return f"{request.getfixturevalue('s3').uri}/run"


def test_the_last_one_to_start_writes(folder):
    first = Generation.take(folder)
    first.check()
    second = Generation.take(folder)
    second.check()
    with pytest.raises(SupersededError, match=f"{folder} since 20.*--work"):
        first.check()
    assert (first.number, second.number) == (1, 2)


def test_a_store_that_gives_a_number_twice(folder, monkeypatch):
    """One without conditional writes, and two starts at the same moment: the content tells."""

    def overwrite(location, content):
        storage.write_bytes(location, content)
        return True

    first = Generation.take(folder)
    monkeypatch.setattr(storage, "write_bytes_if_absent", overwrite)
    monkeypatch.setattr(generation, "_numbers", lambda _: [])
    second = Generation.take(folder)
    monkeypatch.undo()
    assert first.number == second.number
    second.check()
    with pytest.raises(SupersededError):
        first.check()


def test_a_restart_of_what_was_superseded_does_not_take_turns(tmp_path, monkeypatch):
    folder = str(tmp_path)
    monkeypatch.setattr(generation, "_launch", lambda: "first torchrun")
    Generation.take(folder)
    monkeypatch.setenv("TORCHELASTIC_RESTART_COUNT", "1")
    Generation.take(folder)  # a rank died, and nobody else has started
    monkeypatch.setattr(generation, "_launch", lambda: "second torchrun")
    newest = Generation.take(folder)  # its first try died before it took a number
    monkeypatch.setattr(generation, "_launch", lambda: "first torchrun")
    with pytest.raises(SupersededError):
        Generation.take(folder)
    newest.check()
    monkeypatch.setenv("TORCHELASTIC_RESTART_COUNT", "0")
    Generation.take(folder)  # a person started it again


def test_few_records_are_kept(tmp_path):
    for _ in range(20):
        newest = Generation.take(tmp_path)
    assert newest.number == 20
    newest.check()
    assert len(storage.list_files(tmp_path)) < 12


def test_a_folder_that_was_removed_has_no_other_writer(tmp_path):
    own = Generation.take(tmp_path / "run")
    storage.remove(tmp_path / "run")
    own.check()  # raises if another one took the folder
    assert not (tmp_path / "run").exists()


def test_a_parent_is_told_from_a_later_one_of_the_same_number():
    own = generation._launch().split()
    assert own[1] == str(os.getppid())
    assert int(own[2]) > 0


TRAINING = """
import dataclasses, sys
from omnidet.data import shards
from tests import toy_runs, toys
config = dataclasses.replace(toy_runs.TRAIN, steps=100_000, checkpoint_every=1)
try:
    toy_runs.train(shards.read_index(sys.argv[1]), sys.argv[2], train=config)
except ValueError as error:
    print(error, file=sys.stderr)
    sys.exit(2)
"""


def _until(happened, process: subprocess.Popen[str]) -> None:
    give_up_at = time.monotonic() + 400  # seconds on a quiet machine
    while not happened():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < give_up_at, "it did not happen"
        time.sleep(0.05)


@pytest.mark.slow
def test_two_processes_that_no_lock_keeps_apart(folder, tmp_path):
    toys.write_shards(tmp_path / "shards")
    command = [sys.executable, "-c", TRAINING, str(tmp_path / "shards"), folder]
    options = {"cwd": tmp_path, "env": os.environ | {"PYTHONPATH": str(ROOT)},
               "stderr": subprocess.PIPE, "text": True}  # fmt: skip
    checkpoints = f"{folder}/checkpoints"
    first = subprocess.Popen(command, **options)
    second = None
    try:
        _until(lambda: checkpoint.latest(checkpoints), first)
        second = subprocess.Popen(command, **options)
        _, said = first.communicate(timeout=400)
        assert (first.returncode, "writes nothing more" in said) == (2, True), said
        reached = checkpoint.latest(checkpoints)
        _until(lambda: checkpoint.latest(checkpoints) > reached, second)
        second.send_signal(signal.SIGTERM)
        _, said = second.communicate(timeout=400)
        assert second.returncode == 75, said
        assert "is damaged" not in said
    finally:
        for process in filter(None, (first, second)):
            process.kill()
            process.communicate()
    newest = checkpoint.read(checkpoint.latest(checkpoints))
    assert newest.step > int(Path(str(reached)).name)


def test_a_writer_that_is_superseded_says_so_and_writes_nothing_more(tmp_path):
    """Also if the other one has cleared up what it was writing."""
    index = toys.write_shards(tmp_path / "shards")
    folder = tmp_path / "run"
    config = dataclasses.replace(toy_runs.TRAIN, steps=4, checkpoint_every=2)

    def start_another(term):
        Generation.take(folder)
        return term

    losses = (toy_runs.at_call(toys.LOSSES[0], 3, start_another), *toys.LOSSES[1:])
    with pytest.raises(SupersededError):
        toy_runs.train(index, folder, losses=losses, train=config)
    assert [Path(place).name for place in checkpoint._all(folder / "checkpoints")] == ["00000002"]
