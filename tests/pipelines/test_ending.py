"""What became of a run."""

from __future__ import annotations

import copy

from pipelines import ending
from tests.pipelines.fake_kfp import FAILED_NODE
from tests.pipelines.test_run_steps import run_of
from tests.samples.kfp import failed_step_log


def test_a_failed_run_names_the_step_and_its_own_error():
    asked: list[str] = []

    def log(node: str) -> str | None:
        asked.append(node)
        return failed_step_log()

    ended = ending.ended(run_of("run_failed"), log)
    assert list(ended.failed) == ["configure"]
    assert ended.why.startswith("configure failed: s3://no-such-bucket/registry: there is no")
    assert asked == [FAILED_NODE]


def test_a_failed_run_whose_logs_are_gone():
    ended = ending.ended(run_of("run_failed"), lambda _: None)
    assert ended.why.startswith("configure failed: it was stopped")
    assert "no log" in ended.why


def test_a_failed_driver_is_told_from_its_step():
    run = copy.deepcopy(run_of("run_running"))
    run.state = "FAILED"
    for task in run.run_details.task_details:
        if task.state == "RUNNING" and task.display_name == "build-shard-set-driver":
            task.state = "FAILED"
    line = "F1129 00:40:09.433029      15 main.go:59] two tasks have the same task name\n"
    ended = ending.ended(run, lambda _: line)
    assert ended.failed["build-shard-set 11"] == "its driver: two tasks have the same task name"


def test_a_failed_run_whose_list_ends_early_asks_the_steps_that_had_not_ended():
    run = copy.deepcopy(run_of("run_failed"))
    for task in run.run_details.task_details:
        if task.state == "FAILED":
            task.state = "RUNNING"
    ended = ending.ended(run, lambda node: failed_step_log() if node == FAILED_NODE else None)
    assert list(ended.failed) == ["configure"]


def test_a_run_that_succeeded_without_a_word():
    ended = ending.ended(run_of("run_succeeded"), lambda _: None)
    assert (ended.outcome, ended.failed) == (None, {})
    ended = ending.ended(run_of("run_succeeded"), lambda _: "outcome: passed\n")
    assert str(ended.outcome) == "gate: passed"
