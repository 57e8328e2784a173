"""Checkpoints: what is saved comes back, a damaged one is refused, old ones go."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch
from torch.optim.swa_utils import AveragedModel

from omnidet.training import checkpoint, optimizer
from omnidet.training.optimizer import OptimizerConfig
from tests import toys


def _state(seed: int, train: bool = False) -> checkpoint.State:
    detector = toys.toy_detector(seed)
    average = AveragedModel(detector, use_buffers=True)
    built = optimizer.build(detector, OptimizerConfig())
    if train:
        for _ in range(2):
            detector(toys.batch()).scores_BQL.sum().backward()
            built.step()
            average.update_parameters(detector)
    return checkpoint.State(detector, average, built)


def _same(one: checkpoint.State, other: checkpoint.State) -> bool:
    modules = [(one.model, other.model), (one.average, other.average)]
    weights = all(
        torch.equal(a, b) for m, n in modules for a, b in zip(m.state_dict().values(), n.state_dict().values(), strict=True)
    )
    moments = [s.optimizer.state_dict()["state"] for s in (one, other)]
    equal = moments[0].keys() == moments[1].keys()
    return weights and equal and all(torch.equal(moments[0][i][k], moments[1][i][k]) for i in moments[0] for k in moments[0][i])


def test_everything_comes_back(tmp_path):
    saved, fresh = _state(1, train=True), _state(2)
    assert not _same(saved, fresh)
    path = Path(checkpoint.save(tmp_path, 7, saved, {"loader": {"step": 7}}))
    assert checkpoint.latest(tmp_path) == str(path)
    assert checkpoint.load(path, fresh).items() >= {"step": 7, "loader": {"step": 7}}.items()
    assert _same(saved, fresh)


def test_only_the_newest_are_kept_in_the_order_of_steps(tmp_path):
    state = _state(1)
    for step in (8, 9, 10, 100):
        checkpoint.save(tmp_path, step, state, {})
    assert sorted(p.name for p in tmp_path.iterdir()) == ["00000010", "00000100"]
    assert Path(checkpoint.latest(tmp_path)).name == "00000100"


def test_none_there(tmp_path):
    assert checkpoint.latest(tmp_path / "checkpoints") is None


def test_what_a_killed_process_left_is_no_checkpoint(tmp_path):
    state = _state(1)
    whole = Path(checkpoint.save(tmp_path, 4, state, {}))
    shutil.copytree(whole, tmp_path / ".00000008.stage-abc")
    shutil.copytree(whole, tmp_path / "00000008")
    (tmp_path / "00000008" / "index.json").unlink()
    assert checkpoint.latest(tmp_path) == str(whole)


@pytest.mark.parametrize("name", ["model.safetensors", "average.safetensors", "optimizer.pt", "index.json"])
@pytest.mark.parametrize("damage", ["cut", "gone"])
def test_a_damaged_one_is_named(tmp_path, name, damage):
    path = Path(checkpoint.save(tmp_path, 4, _state(1, train=True), {"loader": {}}))
    if damage == "gone":
        (path / name).unlink()
    else:
        (path / name).write_bytes((path / name).read_bytes()[: (path / name).stat().st_size // 2])
    with pytest.raises(ValueError, match="remove it to begin anew") as caught:
        checkpoint.load(path, _state(2))
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_one_of_another_model_is_refused(tmp_path):
    path = Path(checkpoint.save(tmp_path, 4, _state(1), {}))
    other = toys.toy_detector(0, toys.dataclasses.replace(toys.MODEL, embedding_width=12))
    state = checkpoint.State(other, AveragedModel(other, use_buffers=True), optimizer.build(other, OptimizerConfig()))
    with pytest.raises(ValueError, match="does not fit this run"):
        checkpoint.load(path, state)


def test_loading_runs_no_code(tmp_path):
    path = Path(checkpoint.save(tmp_path, 4, _state(1), {}))
    torch.save({"state": toys.Leaves, "param_groups": []}, path / "optimizer.pt")  # a class is code
    with pytest.raises(ValueError, match="does not fit this run"):
        checkpoint.load(path, _state(1))
