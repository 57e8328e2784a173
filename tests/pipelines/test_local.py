"""The pipeline on this machine: the very definition that goes to a cluster, and the numbers of its steps called one by one."""

from __future__ import annotations

import builtins
import gc
import json
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from components.run import train_detector as launch
from omnidet import s3_client
from omnidet.registry import versions
from omnidet.steps import train_detector
from pipelines import __main__ as command
from pipelines import local
from pipelines.defaults import ROOT
from tests import toys

NUMBERS = {"train_images": 40, "image_size": 64, "train_steps": 10}
SETTINGS = [s for s in toys.SMALL if not s.startswith(("world.train_images", "train.steps"))]
MODEL = "omnidet-tiny-world"


def _run(out: Path, *parameters: str) -> int:
    numbers = [f"{name}={value}" for name, value in NUMBERS.items()]
    given = [*numbers, f"settings={json.dumps(SETTINGS)}", *parameters]
    return command.main(["run-local", "--runner", "subprocess", "--out", str(out), *given])


def _direct(folder: Path) -> dict[str, float]:
    """The same steps, one after the other, in this process."""
    run = launch.configure(
        "tiny_world", SETTINGS, [*NUMBERS.values(), 1e-3, 0], "", "", str(folder), "direct"
    )
    recipe = launch.recipe("tiny_world", run.settings)
    world, shards, words, model = (
        str(folder / name) for name in ("world", "shards", "words", "model")
    )
    train_detector.draw_world(world, recipe)
    train_detector.build_shards(world, shards, recipe)
    train_detector.build_vocabulary(shards, words, recipe)
    train_detector.train(shards, words, model, recipe)
    return dict(
        train_detector.evaluate(
            model, shards, str(folder / "metrics.json"), str(folder / "evaluation"), recipe
        ).values
    )


@pytest.mark.slow
def test_the_whole_pipeline(tmp_path, monkeypatch, capfd):
    monkeypatch.setenv("PYTHONPATH", "")  # given back afterwards
    monkeypatch.chdir(tmp_path)
    out = tmp_path / "local"
    own_print = builtins.print
    assert _run(out) == 0, capfd.readouterr()
    assert builtins.print is own_print  # two steps at once leave kfp's indented one behind
    said = capfd.readouterr().out
    assert f"registered {MODEL}@1 in {out / 'registry'}" in said
    (folder,) = (out / "workspace" / "runs").iterdir()
    metrics = json.loads((folder / "metrics.json").read_text())
    assert metrics == _direct(tmp_path / "direct")
    (version,) = versions.versions(out / "registry", MODEL)
    assert version.metrics == metrics
    assert versions.aliases(out / "registry", MODEL) == {"champion": 1}
    assert (
        version.provenance["recipe"]["world"]["train_images"] == 40
    )  # every setting, not those of training alone
    assert json.loads((folder / "gate.json").read_text())["passed"] is True
    names = {path.name for path in (out / "artifacts").rglob("*") if path.is_file()}
    assert {"dataset", "metrics", "table", "report", "decision", "registered"} <= names


@pytest.mark.slow
@pytest.mark.parametrize(
    ("parameter", "words"),
    [
        ('settings=["train.stps=1"]', "unknown field 'train.stps'"),
        ("train_steps=-1", "train.steps=-1: give 1 or more"),
        ("image_size=17", "not a multiple of the patch size"),
        ("recipe=coco_folder", "unknown field"),  # the settings are those of the small world
        ("num_nodes=2", "num_nodes=2 trains in a TrainJob of a cluster"),
        ('download=["coco"]', "set the parameter `data`"),
        ('download=["none"] data={p}/new', "there is no dataset 'none' in the catalogue"),
        ('download=["coco"] data={p}/new catalogue={p}/none.toml', "none.toml"),
        ("registry={p}/file", "file is neither folder nor s3:// URI"),
        ("registry=", "registry is empty: give a folder or s3:// URI"),
        ("registry=gs://a/b", "is neither folder nor s3:// URI"),
        ("registry=/proc/none", "registry=/proc/none cannot be written"),
        ("workspace={p}/file", "file cannot be written"),
        ("workspace=s3://", "workspace=s3:// names no bucket"),
        ("settings=[1]", "settings=[1]: give texts"),
        ("learning_rate=.inf", "learning_rate='.inf' is not finite"),
        ("memory=-1Gi", "memory='-1Gi' is no quantity"),
        ("registry=s3://bucket/registry", "no object store answers at http://127.0.0.1:1"),
        ("workspace=s3://bucket/workspace", "no object store answers at http://127.0.0.1:1"),
    ],
)
def test_what_is_wrong_is_told_before_anything_starts(
    tmp_path, monkeypatch, capsys, parameter, words
):
    (tmp_path / "file").touch()
    for name, value in {
        "ENDPOINT_URL": "http://127.0.0.1:1",
        "ACCESS_KEY_ID": "a",
        "SECRET_ACCESS_KEY": "b",
    }.items():
        monkeypatch.setenv(f"AWS_{name}", value)
    monkeypatch.delenv("AWS_ENDPOINT_URL_S3", raising=False)
    monkeypatch.setattr(s3_client, "TRIES", 1)
    s3_client.forget()
    try:
        assert _run(tmp_path / "out", *parameter.format(p=tmp_path).split()) == 2
    finally:
        s3_client.forget()
    said = capsys.readouterr().err.strip()
    assert words in said
    assert "\n" not in said
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_sigterm_ends_the_steps_too(tmp_path):
    command = [
        sys.executable,
        "-m",
        "pipelines",
        "run-local",
        "--out",
        str(tmp_path / "out"),
        "train_images=2000",
    ]
    with (
        (tmp_path / "log").open("w") as log,
        subprocess.Popen(command, cwd=ROOT, stdout=log, stderr=log) as process,
    ):
        own = psutil.Process(process.pid)
        deadline = time.monotonic() + 120
        while not (
            steps_of_it := [
                c for c in own.children(recursive=True) if "executor_main" in " ".join(c.cmdline())
            ]
        ):
            assert time.monotonic() < deadline, (tmp_path / "log").read_text()
            time.sleep(0.1)
        process.terminate()
        assert process.wait(30) == 143
        assert psutil.wait_procs(steps_of_it, timeout=30)[1] == []
    assert "stopped by SIGTERM" in (tmp_path / "log").read_text()


def test_a_file_in_place_of_the_folder(tmp_path, capsys):
    (tmp_path / "out").touch()
    assert _run(tmp_path / "out") == 2
    assert "out is a file: give a folder" in capsys.readouterr().err


def test_data_that_is_not_there(tmp_path, capsys):
    assert _run(tmp_path / "out", f"data={tmp_path / 'none'}") == 2
    assert "does not exist: give the folder" in capsys.readouterr().err


# docker-py leaves its socket to the collector where nothing listens; it is collected here, and not in some later test.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_docker_without_an_engine(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("PYTHONPATH", "")
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/no-docker.sock")
    assert command.main(["run-local", "--runner", "docker", "--out", str(tmp_path / "out")]) == 2
    gc.collect()
    said = capsys.readouterr().err.strip()
    assert "Docker" in said
    assert "\n" not in said


def _folder(workspace: Path, name: str, files: dict[str, object]) -> None:
    (workspace / "runs" / name).mkdir(parents=True)
    for file, content in files.items():
        (workspace / "runs" / name / file).write_text(json.dumps(content))


def test_the_outcome_is_what_stands_in_the_folder(tmp_path):
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


@pytest.mark.parametrize(
    ("outcome", "code"),
    [((True, "toy@1", None), 0), ((False, None, None), 3), ((None, None, "no"), 1)],
)
def test_the_exit_code_tells_the_outcome(tmp_path, monkeypatch, outcome, code):
    passed, version, error = outcome
    monkeypatch.setattr(
        local, "run", lambda *_: local.Outcome("f", {"coco/AP": 0.5}, version, passed, error)
    )
    assert _run(tmp_path) == code
