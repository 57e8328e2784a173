"""The pipeline on this machine: the same definition as on a cluster, and the same numbers as its
steps called one by one.
"""

from __future__ import annotations

import builtins
import contextlib
import gc
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from components.run import configuration, places
from omnidet.registry import versions
from omnidet.steps import train_detector
from pipelines import cli as command
from pipelines import local
from pipelines.defaults import ROOT
from tests import toy_runs

STEPS = 10
SETTINGS = [
    *(s for s in toy_runs.SMALL if not s.startswith(("world.train_images", "train.steps"))),
    *("world.train_images=40", "model.image_size=64", "train.optimizer.learning_rate=1e-3"),
]
MODEL = "omnidet-tiny-world"


def _run(out: Path, *parameters: str) -> int:
    given = [f"train_steps={STEPS}", f"settings={json.dumps(SETTINGS)}", *parameters]
    return command.main(["run-local", "--runner", "subprocess", "--out", str(out), *given])


def _direct(folder: Path) -> dict[str, float]:
    """The same steps, one after the other, in this process."""
    run = configuration.configure(
        configuration.RunParameters(
            recipe="tiny_world",
            settings=SETTINGS,
            train_steps=STEPS,
            workspace=str(folder),
            run_id="direct",
        )
    )
    recipe = places.recipe("tiny_world", run.settings)
    world, shards, words, model = (
        str(folder / name) for name in ("world", "shards", "words", "model")
    )
    train_detector.draw_world(world, recipe)
    train_detector.build_shards(world, shards, recipe)
    train_detector.build_vocabulary(shards, words, recipe)
    train_detector.train(shards, words, model, recipe)
    metrics, evaluation = str(folder / "metrics.json"), str(folder / "evaluation")
    return dict(train_detector.evaluate(model, shards, metrics, evaluation, recipe).values)


@pytest.mark.slow
def test_the_whole_pipeline(tmp_path, monkeypatch, capfd):
    monkeypatch.setenv("PYTHONPATH", "")  # given back afterwards
    monkeypatch.chdir(tmp_path)
    out = tmp_path / "local"
    own_print = builtins.print
    assert _run(out) == 0, capfd.readouterr()
    assert builtins.print is own_print  # two steps at once would leave kfp's indenting one behind
    said = capfd.readouterr().out
    assert f"registered {MODEL}@1 in {out / 'registry'}" in said
    (folder,) = (out / "workspace" / "runs").iterdir()
    metrics = json.loads((folder / "metrics.json").read_text())
    assert metrics == _direct(tmp_path / "direct")
    (version,) = versions.versions(out / "registry", MODEL)
    assert version.metrics == metrics
    assert versions.aliases(out / "registry", MODEL) == {"champion": 1}
    # All settings are there, not only those of training.
    assert version.provenance["recipe"]["world"]["train_images"] == 40
    assert json.loads((folder / "gate.json").read_text())["passed"] is True
    names = {path.name for path in (out / "artifacts").rglob("*") if path.is_file()}
    assert {"dataset", "metrics", "table", "report", "decision", "registered"} <= names


def _steps_of(process: psutil.Process) -> list[psutil.Process]:
    found = []
    for child in process.children(recursive=True):
        with contextlib.suppress(psutil.NoSuchProcess):  # one of those that live for a moment
            if "executor_main" in " ".join(child.cmdline()):
                found.append(child)
    return found


@pytest.mark.slow
def test_sigterm_ends_the_steps_too(tmp_path):
    run_local = ["run-local", "--out", str(tmp_path / "out"), "world.train_images=2000"]
    command = [sys.executable, "-m", "pipelines", *run_local]
    with (
        (tmp_path / "log").open("w") as log,
        subprocess.Popen(command, cwd=ROOT, stdout=log, stderr=log) as process,
    ):
        own = psutil.Process(process.pid)
        deadline = time.monotonic() + 120
        while not (steps_of_it := _steps_of(own)):
            assert time.monotonic() < deadline, (tmp_path / "log").read_text()
            time.sleep(0.1)
        process.terminate()
        assert process.wait(30) == 143
        assert psutil.wait_procs(steps_of_it, timeout=30)[1] == []
    assert "stopped by SIGTERM" in (tmp_path / "log").read_text()


# If nothing listens, docker-py leaves its socket to the garbage collector: collect it here and not
# in a later test.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_docker_without_an_engine(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("PYTHONPATH", "")
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/no-docker.sock")
    assert command.main(["run-local", "--runner", "docker", "--out", str(tmp_path / "out")]) == 2
    gc.collect()
    said = capsys.readouterr().err.strip()
    assert "Docker engine" in said
    assert "\n" not in said


def _folder(workspace: Path, name: str, files: dict[str, object]) -> None:
    (workspace / "runs" / name).mkdir(parents=True)
    for file, content in files.items():
        (workspace / "runs" / name / file).write_text(json.dumps(content))


def test_the_outcome_is_what_the_folder_holds(tmp_path):
    place = str(tmp_path)
    assert "left no folder" in str(local.outcome(place, set()).error)
    assert local.outcome(place, set(), "step train failed").error == "step train failed"
    _folder(tmp_path, "1", {"metrics.json": {"coco/AP": 0.5}})
    assert "no gate.json" in str(local.outcome(place, set()).error)
    _folder(tmp_path, "2", {"gate.json": {"passed": False}})
    assert "several runs" in str(local.outcome(place, set()).error)
    refused = local.outcome(place, {"1"})
    assert (refused.passed, refused.version, refused.error) == (False, None, None)
    _folder(tmp_path, "3", {"gate.json": {"passed": True}})
    assert "no registered.json" in str(local.outcome(place, {"1", "2"}).error)
    _folder(tmp_path, "4", {"gate.json": {"passed": True}, "registered.json": {"version": "toy@4"}})
    assert local.outcome(place, {"1", "2", "3"}).version == "toy@4"


def test_places_do_not_depend_on_the_working_directory(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    given = {"data": "s3://b/d", "registry": "registry"}
    assert local.absolute(given) == {"data": "s3://b/d", "registry": str(tmp_path / "registry")}
    with pytest.raises(FileNotFoundError, match=f"data={tmp_path}/none"):
        local.absolute({"data": "none"})
    assert local.absolute({"data": "none"}, is_downloaded=True) == {"data": str(tmp_path / "none")}


def test_images_are_chosen_before_the_components_name_them(monkeypatch):
    for variable in local.IMAGE_VARIABLES.values():
        monkeypatch.setenv(variable, "before")
    monkeypatch.delitem(sys.modules, "components.images", raising=False)
    local.use_images("registry.example.com/team", None)
    assert os.environ["OMNIDET_IMAGE_REPOSITORY"] == "registry.example.com/team"
    assert os.environ["OMNIDET_IMAGE_TAG"] == "before"
    monkeypatch.setitem(sys.modules, "components.images", local)
    local.use_images(None, None)
    with pytest.raises(RuntimeError, match="already been imported"):
        local.use_images(None, "1.2")
