"""Why pods failed or do not start."""

from __future__ import annotations

import pytest

from components.trainjob import pods
from tests.components.trainjob.conftest import api
from tests.components.trainjob.fake_kubernetes import Fake, container, log_lines
from tests.components.trainjob.kubernetes_api import NAMESPACE

JOB = "omnidet-train-a"
FIRST, SECOND = f"{JOB}-node-0-0-abcde", f"{JOB}-node-0-1-fghij"


def test_the_report_has_exit_codes_reasons_logs_and_warnings(fake: Fake) -> None:
    killed = container("terminated", exitCode=137, reason="OOMKilled")
    failed = container("terminated", exitCode=1, reason="Error")
    fake.ending_lists = 10
    fake.add_pod(FIRST, JOB, phase="Failed", **killed)
    fake.add_pod(SECOND, JOB, index=1, phase="Failed", **failed)
    fake.add_pod(f"{JOB}-node-0-2-klmno", JOB, index=2)
    fake.logs[FIRST] = log_lines(*(f"line {i}" for i in range(300)))
    fake.logs[SECOND] = log_lines("RuntimeError: connection closed by peer")
    event = {
        "metadata": {"name": "e"},
        "reason": "BackOff",
        "message": "Back-off\nrestarting",
        "count": 3,
        "involvedObject": {"kind": "Pod", "name": SECOND},
    }
    other = {"involvedObject": {"kind": "Pod", "name": "of-someone-else"}, "reason": "Foreign"}
    fake.events = [event, event | other]
    report = pods.failure_report(api(fake), NAMESPACE, JOB)
    assert f"{FIRST}: Failed, node exit code 137 (OOMKilled)" in report
    assert f"{SECOND}: Failed, node exit code 1 (Error)" in report
    assert "connection closed by peer" in report
    assert f"{SECOND}: BackOff: Back-off restarting (x3)" in report
    assert "Foreign" not in report
    assert sum(line.startswith("  line ") for line in report.splitlines()) == pods.LOG_LINES
    assert "line 299" in report
    assert report.count("last lines of") == 2  # the third pod runs


def test_an_evicted_pod_says_so(fake: Fake) -> None:
    fake.ending_lists = 10
    fake.add_pod(FIRST, JOB, phase="Failed", reason="Evicted", message="low on memory")
    assert "Failed, Evicted, low on memory" in pods.failure_report(api(fake), NAMESPACE, JOB)


def test_a_job_without_pods(fake: Fake) -> None:
    assert "no pods are left" in pods.failure_report(api(fake), NAMESPACE, JOB)


def test_an_api_that_is_away_does_not_hide_the_failure(fake: Fake) -> None:
    fake.faults = [("list", "pods", 503)] * 1000
    report = pods.failure_report(api(fake), NAMESPACE, JOB, patience_seconds=0.05)
    assert "unknown" in report
    assert "503" in report


def test_a_log_that_cannot_be_read_is_said(fake: Fake) -> None:
    fake.ending_lists = 10
    fake.add_pod(FIRST, JOB, phase="Failed", **container("terminated", exitCode=1))
    fake.faults = [("get", "pods/log", 500)]
    assert "(no log: " in pods.failure_report(api(fake), NAMESPACE, JOB)


@pytest.mark.parametrize("reason", sorted(pods.HOPELESS))
def test_waiting_that_hardly_helps(reason: str) -> None:
    waiting = container("waiting", reason=reason, message="not found")
    pod = {"metadata": {"name": "p"}, "status": waiting}
    assert pods.hopeless([pod]) == f"pod p: {reason}: not found"


def test_waiting_that_may_end() -> None:
    for status in (container("waiting", reason="ContainerCreating"), container("running"), {}):
        assert pods.hopeless([{"metadata": {"name": "p"}, "status": status}]) is None


class Response:
    """A stream in chunks."""

    def __init__(self, *chunks: bytes) -> None:
        self._chunks = chunks

    def stream(self, **_: object) -> tuple[bytes, ...]:
        """As urllib3's."""
        return self._chunks


def test_lines_do_not_depend_on_chunks() -> None:
    chunks = (b"a\nb", b"c\r\n\xff", b"d\ne")
    assert list(pods.whole_lines(Response(*chunks), keep_rest=False)) == ["a", "bc", "\ufffdd"]
    assert list(pods.whole_lines(Response(*chunks), keep_rest=True))[-1] == "e"
