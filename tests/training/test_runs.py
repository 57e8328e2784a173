"""A run is recognised by what its weights depend on, and by nothing else."""

from __future__ import annotations

import dataclasses
import subprocess
from pathlib import Path

import pytest
import torch

import omnidet
from omnidet import config
from omnidet.data import shards
from omnidet.training import checkpoint, runs
from omnidet.training.distributed import World
from tests import toy_runs, toys

ALONE = World(0, 1, torch.device("cpu"))


@pytest.fixture
def index(tmp_path) -> shards.Index:
    return toys.write_shards(tmp_path / "shards")


def _facts(index: shards.Index, *assignments: str, start: str = "") -> dict[str, object]:
    recipe = config.describe(config.override(toy_runs.recipe(), *assignments))
    return runs.provenance(recipe, index, toys.toy_vocabulary(), start)


def _run(folder: Path, facts: dict[str, object]) -> None:
    """A checkpoint of that run."""
    parts = ("model", "average", "optimizer", "random")
    tensors = {part: {"w": torch.zeros(1)} for part in parts}
    taken = checkpoint.Snapshot(1, tensors, provenance=facts)
    checkpoint.write(folder / str(facts["run"]) / "checkpoints", taken)


@pytest.mark.parametrize(
    "assignment",
    [
        "train.log_every=7",
        "train.parallel=fsdp2",
        "train.checkpoint_every=3",
        "mixing.workers=5",
        "mixing.cache_folder=elsewhere",
        "evaluation.benchmarks=[]",
        "register.name=another",
    ],
)
def test_how_a_run_proceeds_and_is_evaluated_does_not_change_it(index, assignment):
    assert _facts(index, assignment)["run"] == _facts(index)["run"]


@pytest.mark.parametrize(
    "assignment",
    [
        "train.seed=1",
        "train.optimizer.learning_rate=0.5",
        "mixing.max_names=9",
        "model.backbone.depth=3",
        "streams.det.images_per_step=1",
        "losses.names.weight=3",
        "matching.cost.l1=1",
    ],
)
def test_what_the_weights_depend_on_makes_another_run(index, assignment):
    assert _facts(index, assignment)["run"] != _facts(index)["run"]


def test_the_data_and_the_weights_to_start_from_make_another_run(index):
    other = dataclasses.replace(index, dataset_version="other")
    runs_of = [_facts(index), _facts(other), _facts(index, start="ab")]
    assert len({facts["run"] for facts in runs_of}) == 3
    assert runs_of[2]["start_weights_sha256"] == "ab"
    assert "start_weights_sha256" not in runs_of[0]


def test_what_differs_from_the_other_run_is_named(index, tmp_path):
    facts = _facts(index)
    assert runs.others(tmp_path / "work", facts) == []
    other = _facts(index, "train.seed=1", "model.backbone.depth=3")
    _run(tmp_path / "work", other)
    (line,) = runs.others(tmp_path / "work", facts)
    assert str(facts["run"]) in line
    assert str(other["run"]) in line
    assert "model.backbone.depth, train.seed" in line
    _run(tmp_path / "work", facts)
    assert runs.others(tmp_path / "work", facts) == []  # this run goes on


def test_two_processes_cannot_train_in_one_folder(tmp_path):
    with (
        runs.alone(tmp_path / "run", ALONE),
        pytest.raises(ValueError, match=f"trains in {tmp_path}/run"),
        runs.alone(tmp_path / "run", ALONE),
    ):
        pass
    with runs.alone(tmp_path / "run", ALONE):
        pass
    with runs.alone(tmp_path / "run", ALONE), runs.alone(tmp_path / "run", World(1, 2, "cpu")):
        pass  # the other ranks of the same run


def test_the_commit_comes_from_the_environment_or_the_checkout(monkeypatch):
    monkeypatch.setenv("OMNIDET_GIT_COMMIT", "abcdef")
    assert runs.git_commit() == "abcdef"
    monkeypatch.delenv("OMNIDET_GIT_COMMIT")
    described = subprocess.run(
        ["git", "rev-parse", "HEAD"],
        cwd=Path(omnidet.__file__).parent,
        capture_output=True,
        text=True,
    )
    if described.returncode:
        assert runs.git_commit() == "unknown"
    else:
        assert described.stdout.startswith(runs.git_commit().partition("-")[0])


def test_each_evaluation_set_has_a_hash_of_its_own(index):
    truth = {"eval/a": {"sha256": "1"}, "eval/b": {"sha256": "2"}}
    sets = {"train/a": (), "eval/a": (), "eval/b": ()}
    before = dataclasses.replace(index, sets=sets, ground_truth=truth)
    after = dataclasses.replace(before, ground_truth=truth | {"eval/b": {"sha256": "3"}})
    old, new = (_facts(each)[runs.EVALUATION] for each in (before, after))
    assert old.keys() == {"eval/a", "eval/b"}
    assert [name for name in old if old[name] != new[name]] == ["eval/b"]
