"""What submit and status say about the steps and the end of a run."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys

import pytest

from pipelines import cli as command
from pipelines.defaults import ROOT
from pipelines.run_steps import hidden_nodes, steps
from tests.pipelines.test_run_steps import run_of
from tests.samples.kfp import recorded


def _submit(*arguments: str) -> int:
    return command.main(["submit", "--poll", "0.01", *arguments])


def _recorded(fake, *names: str) -> None:
    fake.recordings = tuple(recorded(name) for name in names)


def _pod(recording: str, name: str) -> str:
    return next(step.nodes[0] for step in steps(run_of(recording)) if step.name == name)


def test_the_steps_are_shown_as_they_go(fake, capsys):
    _recorded(fake, "run_running", "run_failed_in_training_then_terminated")
    fake.logs[_pod("run_failed_in_training_then_terminated", "train-2")] = "step 7  loss 3\n"
    assert _submit() == 1
    said = capsys.readouterr()
    assert "configure: done after 39 s\n" in said.out
    assert "build-shard-set 1: from the cache\n" in said.out
    assert said.out.count("configure") == 1
    assert "train-2 failed: it was stopped" in said.err
    assert said.err.rstrip().endswith("step 7 loss 3")


REFUSED = "outcome: refused, lvis/AP: 0.0090 against the champion's 0.0300\n"


@pytest.mark.parametrize(
    ("options", "code"), [((), 0), (("--fail-if-refused",), 3)], ids=["plain", "strict"]
)
def test_a_refused_detector_is_no_silent_success(fake, capsys, options, code):
    _recorded(fake, "run_succeeded")
    fake.logs[_pod("run_succeeded", "gate")] = f"I1129 x\n{REFUSED}"
    assert _submit(*options) == code
    assert "gate: refused, lvis/AP: 0.0090 against" in capsys.readouterr().out
    assert command.main(["status", "run-0", *options]) == code


@pytest.mark.parametrize(("options", "code"), [((), 0), (("--fail-if-refused",), 2)])
def test_a_refusal_that_no_log_tells_any_more_is_no_success(fake, capsys, options, code):
    _recorded(fake, "run_succeeded")
    assert _submit(*options) == code
    said = capsys.readouterr()
    assert "run run-0: SUCCEEDED" in said.out
    assert "not known" in said.err


def test_what_was_registered_is_said_although_the_server_does_not_list_the_step(fake, capsys):
    _recorded(fake, "run_succeeded")
    fake.logs[_pod("run_succeeded", "gate")] = "outcome: passed\n"
    run = run_of("run_succeeded")
    for node in hidden_nodes(run, "register"):
        fake.logs[node] = "outcome: registered omnidet-tiny-world@2, champion\n"
    assert _submit("--fail-if-refused") == 0
    assert "registered omnidet-tiny-world@2, champion\n" in capsys.readouterr().out


def test_json_is_one_object_and_what_is_for_people_goes_elsewhere(fake, capsys):
    _recorded(fake, "run_running", "run_succeeded")
    fake.logs[_pod("run_succeeded", "gate")] = REFUSED
    assert _submit("--json", "--fail-if-refused") == 3
    said = capsys.readouterr()
    content = json.loads(said.out)
    assert content["state"] == "SUCCEEDED"
    assert content["outcome"] == "refused"
    assert content["outcome_text"].startswith("lvis/AP")
    train = {"name": "train", "state": "SUCCEEDED", "tries": 1, "seconds": 57.0}
    assert train in content["steps"]
    assert "configure: done" in said.err
    fake.states, fake.recordings = ("FAILED",), ()
    assert command.main(["status", "run-0", "--json"]) == 1
    assert "no-such-bucket" in json.loads(capsys.readouterr().out)["failed"]["configure"]


def test_links_lead_to_the_ui(fake, capsys, monkeypatch):
    monkeypatch.setenv("KFP_UI", "https://kubeflow.example.com/pipeline/")
    assert _submit("--no-wait") == 0
    said = capsys.readouterr().out
    assert "https://kubeflow.example.com/pipeline/#/runs/details/run-0" in said
    assert fake.host not in said
    assert _submit("--no-wait", "--ui-host", "ui.example.com") == 2
    assert "'ui.example.com' is not a URL" in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_who_stops_watching_learns_how_to_look_and_how_to_stop(fake, number):
    fake.states = ("RUNNING",)
    environment = {name: value for name, value in os.environ.items() if name != "KFP_ENDPOINT"}
    watching = subprocess.Popen(
        [sys.executable, "-m", "pipelines", "submit", "--poll", "0.1", "--host", fake.host],
        cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert watching.stdout is not None
    while "RUNNING" not in watching.stdout.readline():
        assert watching.poll() is None
    watching.send_signal(number)
    _, said = watching.communicate(timeout=30)
    assert watching.returncode == 128 + number
    assert "status run-0" in said
    assert f"pipelines stop run-0 --host {fake.host}`" in said
    assert "Traceback" not in said


def test_a_run_is_stopped(fake, capsys):
    """The command line of `kfp` has no such command."""
    fake.states = ("RUNNING", "RUNNING", "CANCELED")
    assert _submit("--no-wait") == 0
    assert command.main(["stop", "run-0"]) == 0
    assert fake.terminated == ["run-0"]
    assert "run run-0 is being stopped: http" in capsys.readouterr().out
    assert command.main(["status", "run-0"]) == 0
    assert command.main(["stop", "run-0"]) == 0
    assert "has ended already: CANCELED" in capsys.readouterr().out
    assert fake.terminated == ["run-0"]
    assert command.main(["stop", "none"]) == 2
    assert "does not exist" in capsys.readouterr().err
