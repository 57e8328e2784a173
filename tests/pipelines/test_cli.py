"""The command line: exit codes by what became of a run, one line for trouble."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
import yaml

from pipelines import cli as command
from pipelines import local, package
from pipelines.defaults import ROOT

CRON = "0 0 3 * * 1"
AS_SOMEBODY = ("-c", "user.name=somebody", "-c", "user.email=somebody@example.com")


def _submit(*arguments: str) -> int:
    return command.main(["submit", "--poll", "0.01", *arguments])


def _schedule(*arguments: str, cron: str = CRON) -> int:
    return command.main(["schedule", "--schedule-name", "weekly", "--cron", cron, *arguments])


def _one_line(capsys: pytest.CaptureFixture[str]) -> str:
    said = capsys.readouterr().err.strip()
    assert "\n" not in said
    return said


def test_submit_uploads_runs_and_waits(fake, capsys):
    assert _submit("train_steps=20", "train.seed=1", "workspace=s3://b/w") == 0
    version = package.version(package.path("train_detector"))
    assert [p["display_name"] for p in fake.pipelines] == ["omnidet-train-detector"]
    assert [v["display_name"] for v in fake.versions] == [version]
    (run,) = fake.runs.values()
    parameters = {"train_steps": 20, "settings": ["train.seed=1"], "workspace": "s3://b/w"}
    assert run["runtime_config"]["parameters"] == parameters
    said = capsys.readouterr().out
    assert f"{fake.host}/#/runs/details/run-0" in said
    assert said.rstrip().endswith("run run-0: SUCCEEDED")
    assert "Experiment details" not in said


@pytest.mark.slow
@pytest.mark.parametrize("state", ["FAILED", "CANCELED", "SKIPPED"])
def test_a_run_that_does_not_succeed_is_exit_code_1(fake, capsys, state):
    fake.states = ("RUNNING", state)
    assert _submit() == 1
    said = _one_line(capsys)
    assert said.startswith(f"run run-0: {state}: ")
    reason = "configure failed: s3://no-such-bucket/registry: there is no bucket 'no-such-bucket'"
    assert (reason in said) == (state == "FAILED")
    assert "executor" not in said


def test_a_run_that_takes_too_long_is_exit_code_2(fake, capsys):
    fake.states = ("RUNNING",)
    assert _submit("--timeout", "0.05") == 2
    assert "status run-0" in _one_line(capsys)


def test_no_wait(fake):
    fake.states = ("FAILED",)
    assert _submit("--no-wait") == 0
    assert fake.calls["GET /runs/run-0"] == 0


@pytest.mark.parametrize("assignment", ["train_stps=20", "num_nodes=0", "registry=/folder"])
def test_wrong_parameters_are_refused_before_anything_is_sent(fake, capsys, assignment):
    assert _submit(assignment) == 2
    assert assignment.partition("=")[0] in _one_line(capsys)
    assert not fake.calls


def test_a_refusal_is_exit_code_2(fake, capsys):
    fake.failures["POST /runs"] = [403]
    assert _submit() == 2
    assert "403 scripted 403" in _one_line(capsys)


def test_the_token_comes_from_its_file(fake, tmp_path, capsys):
    (tmp_path / "token").write_text("right\n")
    fake.token = "right"
    assert _submit("--no-wait", "--token-file", str(tmp_path / "token")) == 0
    assert _submit("--no-wait") == 2
    assert "401" in _one_line(capsys)


def test_no_host(monkeypatch, capsys):
    monkeypatch.delenv("KFP_ENDPOINT", raising=False)
    assert _submit() == 2
    assert "--host or KFP_ENDPOINT" in _one_line(capsys)


def test_another_file_than_a_package(fake, tmp_path, capsys):
    (tmp_path / "x.yaml").write_text("a: 1\n")
    assert _submit("--package", str(tmp_path / "x.yaml")) == 2
    assert "x.yaml is not a compiled pipeline" in _one_line(capsys)
    assert _submit("--package", str(tmp_path / "none.yaml")) == 2
    assert "none.yaml does not exist" in _one_line(capsys)
    assert not fake.calls


@pytest.mark.slow
def test_schedule_says_what_it_did(fake, capsys):
    for seed, what in ((1, "created"), (1, "unchanged"), (2, "replaced")):
        assert _schedule(f"train.seed={seed}") == 0
        assert f" {what}: {fake.host}/#/recurringrun/" in capsys.readouterr().out
    assert [s["display_name"] for s in fake.schedules] == ["weekly"]


def test_a_wrong_schedule_is_refused_before_anything_is_sent(fake, capsys):
    assert _schedule(cron="0 3 * * 1") == 2
    assert '"0 0 3 * * 1"' in _one_line(capsys)
    assert _schedule("--max-concurrency", "0") == 2
    assert "--max-concurrency 0" in _one_line(capsys)
    assert not fake.calls


def test_another_package_is_never_taken_for_one_that_the_server_has(fake, tmp_path, monkeypatch):
    """Neither one for other images, nor another pipeline under the same name."""
    checkout = tmp_path / "checkout"  # without changes, whatever this one holds
    checkout.mkdir()
    for words in (["init", "-q"], [*AS_SOMEBODY, "commit", "-q", "--allow-empty", "-m", "all"]):
        subprocess.run(["git", *words], cwd=checkout, check=True)
    monkeypatch.setattr(package, "ROOT", checkout)
    own = tmp_path / "own.yaml"
    text = package.path("train_detector").read_text()
    own.write_text(text.replace("ghcr.io/omnidet", "registry.example.com/team"))
    for arguments in ([], ["--package", str(own)], ["--pipeline", "retrain", "data=s3://b/d"], []):
        assert _submit("--no-wait", "--name", "team", *arguments) == 0
    runs = [run["pipeline_version_reference"] for run in fake.runs.values()]
    assert len(fake.versions) == 3
    assert runs[3] == runs[0]
    assert len({run["pipeline_version_id"] for run in runs}) == 3
    assert own.read_bytes() in fake.packages
    assert package.path("retrain").read_bytes() in fake.packages


@pytest.mark.parametrize("name", package.NAMES)
def test_without_the_cache_no_step_may_come_from_it(fake, name):
    """A run of an uploaded version has what was compiled: what kfp's client is given is dropped."""
    arguments = ["--no-wait", "--pipeline", name, "data=s3://b/d", "recipe=coco_folder"]
    for more in ([], ["--no-cache"], []):
        assert _submit(*arguments, *more) == 0
    used = [r["pipeline_version_reference"]["pipeline_version_id"] for r in fake.runs.values()]
    assert used[0] == used[2] != used[1]
    whole, platform = yaml.safe_load_all(fake.packages[-1])
    own, own_platform = yaml.safe_load_all(package.path(name).read_text())
    assert platform == own_platform
    dags = [whole["root"], *whole["components"].values()]
    tasks = [task for dag in dags for task in dag.get("dag", {}).get("tasks", {}).values()]
    assert len(tasks) > 5
    assert not any(task["cachingOptions"] for task in tasks)
    assert whole["deploymentSpec"] == own["deploymentSpec"]


def test_the_name_of_the_pipeline_may_come_first(fake):
    assert command.main(["submit", "retrain", "--no-wait", "data=s3://b/d"]) == 0
    assert [p["display_name"] for p in fake.pipelines] == ["omnidet-retrain"]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("state", "code"), [("RUNNING", 0), ("SUCCEEDED", 0), ("FAILED", 1), ("CANCELED", 1)]
)
def test_status(fake, capsys, state, code):
    fake.states = (state,)
    assert _submit("--no-wait") == 0
    assert command.main(["status", "run-0"]) == code
    assert f"run run-0: {state}" in "".join(capsys.readouterr())


def test_status_of_a_run_that_does_not_exist(fake, capsys):
    assert command.main(["status", "none"]) == 2
    assert "run none not found" in _one_line(capsys)


@pytest.mark.slow
def test_compile_writes_packages_and_checks_them(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(package, "FOLDER", tmp_path)
    assert command.main(["compile", "--check"]) == 1
    assert _one_line(capsys).startswith("stale: train_detector, retrain;")
    assert command.main(["compile"]) == 0
    assert command.main(["compile", "--check"]) == 0
    own = (tmp_path / "retrain.yaml").read_text().replace("ghcr.io/omnidet", "own.example/team")
    (tmp_path / "retrain.yaml").write_text(own)
    assert command.main(["compile", "--check"]) == 1
    said = _one_line(capsys)
    # Compiled again without a word, it would be for images that nobody has pushed.
    for part in ("stale: retrain", "own.example/team/control:", "OMNIDET_IMAGE_REPOSITORY"):
        assert part in said
    (tmp_path / "train_detector.yaml").write_text("old\n")
    assert command.main(["compile", "--check"]) == 1


def test_images_that_the_package_does_not_have_are_not_passed_over(fake, monkeypatch, capsys):
    """Set for `compile`, which was forgotten: the run would be one of other images."""
    monkeypatch.setenv("OMNIDET_IMAGE_TAG", "0.1.0-mine")
    assert command.main(["submit", "--no-wait"]) == 2
    said = _one_line(capsys)
    for part in ("train_detector.yaml", "control:0.1.0-mine", "python -m pipelines compile"):
        assert part in said
    assert fake.runs == {}
    file = str(package.path("train_detector"))
    assert command.main(["submit", "--no-wait", "--package", file]) == 0


@pytest.mark.parametrize(
    ("outcome", "code", "words"),
    [
        ((True, "toy@1", None), 0, "registered toy@1 in"),
        ((False, None, None), 3, "folder/gate.json"),
        ((None, None, "step train failed"), 1, "step train failed"),
    ],
)
def test_the_exit_code_of_a_local_run(tmp_path, monkeypatch, capsys, outcome, code, words):
    passed, version, error = outcome
    ended = local.Outcome("folder", {"coco/AP": 0.5}, version, passed, error)
    monkeypatch.setattr(local, "run", lambda *_: ended)
    assert command.main(["run-local", "--out", str(tmp_path)]) == code
    said = capsys.readouterr()
    assert words in said.out + said.err
    assert "coco/AP                      0.500" in said.out


def test_a_local_run_that_finds_nothing_new(tmp_path, monkeypatch, capsys):
    ended = local.Outcome(None, None, None, None, has_nothing_to_do=True)
    monkeypatch.setattr(local, "run", lambda *_: ended)
    run = ["run-local", "retrain", "--out", str(tmp_path), f"data={tmp_path}"]
    assert command.main(run) == 0
    assert f"nothing new in {tmp_path}" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["num_nodes=2"], "num_nodes=2"),
        (["data={p}/none"], "data={p}/none does not exist"),
        (["registry=gs://a/b"], "registry=gs://a/b"),
        (["workspace={p}/file"], "workspace={p}/file"),
        (["--out", "{p}/file"], "--out {p}/file is a file"),
    ],
)
def test_a_local_run_that_cannot_work_starts_nothing(tmp_path, capsys, arguments, words):
    (tmp_path / "file").touch()
    given = [argument.format(p=tmp_path) for argument in arguments]
    assert command.main(["run-local", "--out", str(tmp_path / "out"), *given]) == 2
    assert words.format(p=tmp_path) in _one_line(capsys)
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_it_is_a_program():
    ran = subprocess.run(
        [sys.executable, "-m", "pipelines", "--help"],
        cwd=ROOT, env=dict(os.environ), capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert ran.returncode == 0
    assert all(name in ran.stdout for name in ("compile", "submit", "schedule", "run-local"))
