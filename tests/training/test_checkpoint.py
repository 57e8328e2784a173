"""Checkpoints: what is saved comes back, a damaged one is skipped, old ones are removed."""

from __future__ import annotations

import dataclasses
import errno
import json
import random
import resource
import shutil
import signal
from pathlib import Path

import pytest
import torch

from omnidet import storage
from omnidet.training import checkpoint
from omnidet.training.distributed import World
from omnidet.training.run_state import State
from tests import toys
from tests.training import states

ALONE = World(0, 1, torch.device("cpu"))


def _save(
    folder: Path,
    step: int,
    state: State,
    keep: int = 2,
    keep_every: int = 0,
    **rest: object,
) -> Path:
    return Path(
        checkpoint.write(folder, checkpoint.snapshot(step, state, **rest), keep, keep_every)
    )


def test_everything_comes_back(tmp_path):
    saved, fresh = states.make(1, train=True), states.make(2)
    assert not states.same(saved, fresh)
    torch.manual_seed(5)
    random.seed(5)
    path = _save(
        tmp_path,
        7,
        saved,
        facts={"loader": {"step": 7}},
        provenance={"vocabulary_hash": "ab"},
        log=b"{}\n",
    )
    expected = (torch.rand(3), random.random())
    assert checkpoint.latest(tmp_path) == str(path)
    found = checkpoint.restore(tmp_path, fresh, ALONE)
    assert (found.step, found.facts["loader"], found.provenance, found.log) == (
        7,
        {"step": 7},
        {"vocabulary_hash": "ab"},
        b"{}\n",
    )
    assert states.same(saved, fresh)
    assert torch.equal(torch.rand(3), expected[0])
    assert random.random() == expected[1]
    for state in (saved, fresh):  # and what follows is the same
        state.model(toys.batch()).scores_BQL.sum().backward()
        state.optimizer.step()
        state.average.update(state.model)
    assert states.same(saved, fresh)


def test_a_snapshot_is_not_changed_by_later_steps():
    state = states.make(1, train=True)
    taken = checkpoint.snapshot(1, state)
    before = {
        part: {name: tensor.clone() for name, tensor in tensors.items()}
        for part, tensors in taken.tensors.items()
    }
    state.model(toys.batch()).scores_BQL.sum().backward()
    state.optimizer.step()
    state.average.update(state.model)
    assert all(
        torch.equal(taken.tensors[part][name], value)
        for part in before
        for name, value in before[part].items()
    )


def test_only_the_newest_are_kept_by_the_number_of_the_step(tmp_path):
    state = states.make(1)
    for step in (8, 9, 10, 100):
        _save(tmp_path, step, state)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["00000010", "00000100"]
    assert Path(checkpoint.latest(tmp_path)).name == "00000100"


def test_one_stays_for_good_every_so_many_steps(tmp_path):
    state = states.make(1)
    for step in range(1, 8):
        _save(tmp_path, step, state, keep=1, keep_every=3)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["00000003", "00000006", "00000007"]


def test_an_empty_folder_has_no_checkpoint(tmp_path):
    assert checkpoint.latest(tmp_path / "checkpoints") is None
    assert checkpoint.restore(tmp_path / "checkpoints", states.make(1), ALONE) is None


def test_what_a_killed_process_left_is_not_a_checkpoint(tmp_path):
    state = states.make(1)
    whole = _save(tmp_path, 4, state)
    shutil.copytree(whole, tmp_path / ".00000008.stage-abc")
    shutil.copytree(whole, tmp_path / "00000008")
    (tmp_path / "00000008" / "index.json").unlink()
    assert checkpoint.latest(tmp_path) == str(whole)


FILES = (
    *(f"{part}.safetensors" for part in ("model", "average", "optimizer", "random")),
    "metrics.jsonl",
    "index.json",
)


@pytest.mark.slow
@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("damage", ["cut", "gone", "a bit"])
def test_a_damaged_one_is_skipped_and_named(tmp_path, capsys, name, damage):
    before, fresh = states.make(1, train=True), states.make(2)
    _save(tmp_path, 4, before, log=b"a row\n")
    path = _save(tmp_path, 8, states.make(3, train=True), log=b"two rows\n") / name
    content = bytearray(path.read_bytes())
    if damage == "gone":
        path.unlink()
    elif damage == "cut":
        path.write_bytes(content[: len(content) // 2])
    else:
        content[len(content) // 2] ^= 1
        path.write_bytes(content)
    found = checkpoint.restore(tmp_path, fresh, ALONE)
    said = capsys.readouterr().err
    assert said.startswith(f"checkpoint {path.parent} is damaged (")
    assert said.count("\n") == 1
    assert name in said or name == "index.json"
    assert found.step == 4
    assert states.same(before, fresh)


@pytest.mark.parametrize(
    "change",
    [
        lambda index: index | {"average_updates": 1},
        lambda index: index | {"loader": {"step": 3}},
        lambda index: {key: value for key, value in index.items() if key != "world_size"},
        lambda index: {key: value for key, value in index.items() if key != "index_sha256"},
    ],
)
def test_a_changed_index_is_damaged(tmp_path, capsys, change):
    _save(tmp_path, 4, states.make(1, train=True))
    path = _save(tmp_path, 8, states.make(3, train=True)) / "index.json"
    path.write_text(json.dumps(change(json.loads(path.read_text())), indent=1))
    assert checkpoint.restore(tmp_path, states.make(2), ALONE).step == 4
    assert f"checkpoint {path.parent} is damaged" in capsys.readouterr().err


def test_a_checkpoint_under_another_number_is_damaged(tmp_path):
    _save(tmp_path, 4, states.make(1, train=True)).rename(tmp_path / "00000099")
    with pytest.raises(ValueError, match=f"every checkpoint in {tmp_path} is damaged"):
        checkpoint.restore(tmp_path, states.make(2), ALONE)


def test_if_all_are_damaged_the_error_names_the_remedy(tmp_path):
    for step in (4, 8):
        (_save(tmp_path, step, states.make(1)) / "model.safetensors").write_bytes(b"")
    with pytest.raises(ValueError, match=f"{tmp_path} .*damaged.*remove"):
        checkpoint.restore(tmp_path, states.make(2), ALONE)


def test_a_run_that_went_back_keeps_what_it_writes(tmp_path):
    """The damaged one has a later step, but must not displace the new ones."""
    (_save(tmp_path, 8, states.make(1)) / "model.safetensors").write_bytes(b"")
    _save(tmp_path, 5, states.make(1), keep=1)
    _save(tmp_path, 6, states.make(1), keep=1)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["00000006", "00000008"]


def test_one_of_another_model_is_refused(tmp_path):
    path = _save(tmp_path, 4, states.make(1))
    state = states.make(0, model=dataclasses.replace(toys.MODEL, embedding_width=12))
    with pytest.raises(ValueError, match=r"does not fit.*12.*remove") as caught:
        checkpoint.restore(tmp_path, state, ALONE)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_loading_runs_no_code(tmp_path):
    """Files are JSON or safetensors: a pickle in place of one is refused, though its hash fits."""
    path = _save(tmp_path, 4, states.make(1))
    torch.save({"state": toys.Leaves}, path / "optimizer.safetensors")  # a class is code
    index = json.loads((path / "index.json").read_text())
    index["sha256"]["optimizer.safetensors"] = checkpoint._sha256(
        (path / "optimizer.safetensors").read_bytes()
    )
    (path / "index.json").write_text(json.dumps(index))
    with pytest.raises(checkpoint.DamagedError):
        checkpoint.read(path)


def test_a_full_disk_names_the_place_and_leaves_the_old_one_intact(tmp_path):
    """Like a full disk, the kernel refuses to let a file grow beyond the limit."""
    before, fresh = states.make(1, train=True), states.make(2)
    path = _save(tmp_path, 4, before)
    taken = checkpoint.snapshot(8, states.make(3, train=True))
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, limits[1]))
    try:
        with pytest.raises(OSError, match=r"cannot be written \(.*make room") as caught:
            checkpoint.write(tmp_path, taken)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, ignored)
    assert str(tmp_path / "00000008") in str(caught.value)
    assert [p.name for p in tmp_path.iterdir()] == [path.name]
    assert checkpoint.restore(tmp_path, fresh, ALONE).step == 4
    assert states.same(before, fresh)


def test_a_disk_that_fills_up_while_the_index_is_written(tmp_path, monkeypatch):
    path = _save(tmp_path, 4, states.make(1))

    def full(_path: Path) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(checkpoint, "_to_disk", full)
    with pytest.raises(OSError, match="No space left on device"):
        _save(tmp_path, 8, states.make(1))
    assert storage.list_folders(tmp_path) == [path.name]
