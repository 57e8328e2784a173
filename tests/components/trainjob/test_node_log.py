"""The log of node 0: every line once, through broken streams and new pods."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from components.trainjob.node_log import NodeLog
from tests.components.trainjob.conftest import api
from tests.components.trainjob.fake_kubernetes import Fake, log_lines
from tests.components.trainjob.kubernetes_api import NAMESPACE

JOB = "omnidet-train-a"
POD = f"{JOB}-node-0-0-abcde"


def _wait_for(happened: Callable[[], bool]) -> None:
    give_up_at = time.monotonic() + 20
    while not happened():
        assert time.monotonic() < give_up_at, "it did not happen"
        time.sleep(0.01)


def _steps(start: int, end: int) -> list[str]:
    return [f"step {i}" for i in range(start, end)]


def test_lines_come_as_they_are_written(fake: Fake) -> None:
    fake.add_job({"metadata": {"name": JOB}})
    fake.add_pod(POD, JOB)
    fake.add_pod(f"{JOB}-node-0-1-fghij", JOB, index=1)
    fake.logs[POD] = log_lines(*_steps(0, 10))
    fake.logs[f"{JOB}-node-0-1-fghij"] = log_lines("of node 1")
    lines: list[str] = []
    with NodeLog(api(fake), NAMESPACE, JOB, 0.02, lines.append):
        _wait_for(lambda: len(lines) == 10)
        fake.logs[POD] += log_lines("the end", start=30)
    assert lines == [*_steps(0, 10), "the end"]


@pytest.mark.parametrize("is_clean", [False, True])
def test_a_dropped_stream_loses_and_repeats_no_line(
    fake: Fake, capsys: pytest.CaptureFixture[str], is_clean: bool
) -> None:
    fake.add_job({"metadata": {"name": JOB}})
    fake.add_pod(POD, JOB)
    fake.logs[POD] = log_lines(*_steps(0, 10))
    fake.cut_log_after, fake.cut_is_clean = 6, is_clean
    lines: list[str] = []
    with NodeLog(api(fake), NAMESPACE, JOB, 0.02, lines.append):
        _wait_for(lambda: len(lines) == 10)
    assert lines == _steps(0, 10)
    assert ("connecting again" in capsys.readouterr().err) is not is_clean
    assert fake.log_queries[1]["sinceTime"] == "2026-11-22T12:00:01.251Z"


def test_a_new_pod_is_followed(fake: Fake) -> None:
    fake.add_job({"metadata": {"name": JOB}})
    old = fake.add_pod(POD, JOB)
    fake.logs = {POD: log_lines("first try"), "new": log_lines("second try")}
    lines: list[str] = []
    with NodeLog(api(fake), NAMESPACE, JOB, 0.02, lines.append):
        _wait_for(lambda: "first try" in lines)
        with fake.lock:
            fake.pods.remove(old)
            fake.add_pod("new", JOB)
        _wait_for(lambda: "second try" in lines)
    assert [lines[0], lines[-1]] == ["first try", "second try"]
    assert "started again as new" in lines[1]


def test_a_pod_that_has_not_started_is_waited_for(fake: Fake) -> None:
    fake.add_job({"metadata": {"name": JOB}})
    pod = fake.add_pod(POD, JOB, phase="Pending")
    fake.logs[POD] = log_lines("step 0")
    lines: list[str] = []
    with NodeLog(api(fake), NAMESPACE, JOB, 0.02, lines.append):
        _wait_for(lambda: fake.calls["list", "pods"] > 2)
        assert fake.log_queries == []
        pod["status"]["phase"] = "Running"
        _wait_for(lambda: lines == ["step 0"])


def test_it_stops_at_once_if_the_process_is_to_end(fake: Fake) -> None:
    fake.add_job({"metadata": {"name": JOB}})
    fake.add_pod(POD, JOB)
    fake.logs[POD] = log_lines("step 0")
    lines: list[str] = []
    log = NodeLog(api(fake), NAMESPACE, JOB, 0.02, lines.append).__enter__()
    _wait_for(lambda: lines == ["step 0"])
    asked = len(fake.log_queries)
    log.__exit__(SystemExit, SystemExit(143), None)
    assert len(fake.log_queries) == asked
