"""What a person sees while a run goes on."""

from __future__ import annotations

import copy
from types import SimpleNamespace

from pipelines import progress, run_steps
from tests.pipelines.test_run_steps import run_of


def test_each_step_is_said_once_with_its_seconds_and_the_cache():
    lines: list[str] = []
    watch = progress.Progress(lines.append)
    run = run_of("run_running")
    watch.look(run)
    watch.look(run)
    assert lines[0] == f"run {run.run_id}: RUNNING"
    assert "configure: done after 39 s" in lines
    assert "build-shard-set 10: from the cache" in lines
    assert len(lines) == len(set(lines)) == 14
    watch.look(run_of("run_failed_in_training_then_terminated"))
    assert lines[-1] == "train-2: failed after 346 s, try 2"
    assert not any("waits" in line for line in lines)


def test_what_starts_ends_and_is_tried_again(monkeypatch):
    lines: list[str] = []
    watch = progress.Progress(lines.append)
    run = SimpleNamespace(run_id="r", state="RUNNING")
    for state, tries, seconds in (
        ("RUNNING", 1, None), ("RUNNING", 1, None), ("RUNNING", 2, None), ("SUCCEEDED", 2, 61.0),
    ):  # fmt: skip
        step = run_steps.Step("train", state, tries, seconds)
        monkeypatch.setattr(run_steps, "steps", lambda _, step=step: [step])
        watch.look(run)
    assert lines[1:] == [
        "train: started",
        "train: tried again, try 2",
        "train: done after 61 s, try 2",
    ]


def test_a_step_that_no_node_takes_is_named_after_a_minute():
    seconds, lines = [0.0], []
    watch = progress.Progress(lines.append, clock=lambda: seconds[0])
    run = run_of("run_running")
    watch.look(run)
    seconds[0] = 59
    watch.look(run)
    assert not any("waits" in line for line in lines)
    seconds[0] = 61
    watch.look(run)
    watch.look(run)
    assert [line.partition(" (")[0] for line in lines if "waits for a node" in line] == [
        "build-shard-set 11: " + progress.waits(run_steps.Step("x", "WAITING"))
    ]


def test_the_reason_of_the_server_is_said_at_once():
    lines: list[str] = []
    run = copy.deepcopy(run_of("run_running"))
    for task in run.run_details.task_details:
        if task.display_name == "build-shard-set-driver":
            task.error = SimpleNamespace(message="0/1 nodes are available:\n1 Insufficient cpu.")
    progress.Progress(lines.append).look(run)
    assert "build-shard-set 11: waits: 0/1 nodes are available: 1 Insufficient cpu." in lines
