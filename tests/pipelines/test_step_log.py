"""The line of a log that says what went wrong."""

from __future__ import annotations

import pytest

from pipelines import step_log
from tests.samples.kfp import failed_step_log

LAUNCHER = "I1129 00:39:47.119003      15 main.go:67] Setting log level to: '1'\n"
ENDED = "F1129 00:40:09.433029      15 main.go:59] failed to execute component: {}\n"


def _trace(last: str) -> str:
    return (
        "reading\n"
        "Traceback (most recent call last):\n"
        '  File "a.py", line 1, in <module>\n'
        f"    raise x\n{last}\n"
    )


def test_the_log_of_a_real_step():
    assert step_log.reason(failed_step_log()) == (
        "s3://no-such-bucket/registry: there is no bucket 'no-such-bucket' at "
        "http://seaweedfs.kubeflow:9000: create it or correct the name"
    )


@pytest.mark.parametrize(
    ("last", "reason"),
    [
        ("ValueError: give a number", "give a number"),
        ("components.trainjob.job.JobError: TrainJob a: Failed\npods:\n  x", "TrainJob a: Failed"),
        ("KeyError: 'x'", "KeyError: 'x'"),
        ("torch.OutOfMemoryError: CUDA out of memory", "OutOfMemoryError: CUDA out of memory"),
        ("AssertionError", "AssertionError"),
    ],
)
def test_the_last_line_of_a_stack_trace(last, reason):
    log = LAUNCHER + _trace("OSError: the first") + "\n" + _trace(last) + ENDED.format("exit 1")
    assert step_log.reason(log) == reason


def test_of_processes_that_a_launcher_counts_the_one_that_says_why():
    said = "omnidet train: loss is not finite at step 3: lower the learning rate\n"
    log = said + _trace("RuntimeError: training in 2 processes ended with exit code 2: see above")
    assert step_log.reason(log) == said.strip()


@pytest.mark.parametrize(
    ("end", "words"),
    [
        ("signal: killed", "memory limit"),
        ("exit status 137", "memory limit"),
        ("signal: terminated", "SIGTERM"),
        ("exit status 3", "exit status 3"),
    ],
)
def test_a_process_that_said_nothing(end, words):
    assert words in str(step_log.reason(LAUNCHER + "step 7\n" + ENDED.format(end)))


def test_a_log_that_just_ends():
    log = LAUNCHER + "step 7  loss 3.1\n"
    assert step_log.reason(log) is None
    assert step_log.last_line(log) == "step 7 loss 3.1"
    assert step_log.last_line("") == ""
