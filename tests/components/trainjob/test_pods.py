"""Why pods failed or do not start."""

from __future__ import annotations

from typing import Any

import pytest

from components.trainjob import pods
from tests.components.trainjob.fake_kubernetes import container

JOB = "omnidet-train-a"
FIRST, SECOND = f"{JOB}-node-0-0-abcde", f"{JOB}-node-0-1-fghij"


def _seen(
    name: str, order: int | None = None, phase: str = "Failed", number: int = 0, **status: Any
) -> pods.Seen:
    """A pod of the job's try of that number."""
    metadata = {"name": name, "labels": {pods.TRY_LABEL: str(number)}}
    return pods.Seen({"metadata": metadata, "status": {"phase": phase, **status}}, order)


def _ended(code: int, reason: str = "Error") -> dict[str, Any]:
    return container("terminated", exitCode=code, reason=reason)


class TestReport:
    def test_it_has_exit_codes_reasons_logs_and_warnings(self) -> None:
        first = _seen(FIRST, 1, **_ended(137, "OOMKilled"))
        second = _seen(SECOND, 0, **_ended(1))
        third = _seen(f"{JOB}-node-0-2-klmno", None, "Running", **container("running"))
        first.lines.extend(["a", "b"])
        second.lines.append("RuntimeError: connection closed by peer")
        event = {
            "reason": "BackOff",
            "message": "Back-off\nrestarting",
            "count": 3,
            "involvedObject": {"kind": "Pod", "name": SECOND},
        }
        report = pods.report([first, second, third], [event])
        assert f"{FIRST}: Failed, node exit code 137 (OOMKilled)" in report
        assert f"{SECOND}: Failed, node exit code 1 (Error)" in report
        assert report.index(SECOND) < report.index(FIRST)  # it was the first to end
        assert "connection closed by peer" in report
        assert f"{SECOND}: BackOff: Back-off restarting (x3)" in report
        assert report.count("last lines of") == 2  # the third pod runs

    def test_logs_are_those_of_the_last_try(self) -> None:
        old, new = _seen("old", 0, **_ended(1)), _seen("new", 1, number=1, **_ended(1))
        old.lines.append("of the first try")
        new.lines.append("of the second try")
        report = pods.report([old, new], [])
        assert "of the second try" in report
        assert "of the first try" not in report
        assert "old: Failed" in report

    def test_a_pod_that_kubernetes_took_away_says_so(self) -> None:
        evicted = _seen(FIRST, 0, reason="Evicted", message="low on memory")
        assert "Failed, Evicted, low on memory" in pods.report([evicted], [])
        condition = {
            "type": "DisruptionTarget",
            "status": "True",
            "reason": "PreemptionByScheduler",
            "message": "preempting to accommodate a higher priority pod",
        }
        preempted = _seen(FIRST, 0, conditions=[condition])
        assert "PreemptionByScheduler: preempting" in pods.report([preempted], [])

    def test_without_pods(self) -> None:
        assert "no pods" in pods.report([], [])


def _asked(seen: pods.Seen) -> pods.Seen:
    seen.was_asked = True
    return seen


DISRUPTED = {"type": "DisruptionTarget", "status": "True", "reason": "DeletionByTaintManager"}


class TestWhyLost:
    @pytest.mark.parametrize(
        "first",
        [
            _asked(_seen(FIRST, 0, **_ended(1))),
            _seen(FIRST, 0, reason="Evicted"),
            _seen(FIRST, 0, reason="NodeShutdown"),
            _seen(FIRST, 0, conditions=[DISRUPTED], **_ended(137)),
            _seen(FIRST, 0, **_ended(75)),
            _seen(FIRST, 0, **_ended(143)),
            _seen(FIRST, 0, **_ended(137)),
        ],
    )
    def test_through_no_fault_of_its_own(self, first: pods.Seen) -> None:
        torn_down = _asked(_seen(SECOND, 1, **_ended(1)))
        assert FIRST in str(pods.why_lost([torn_down, first]))

    @pytest.mark.parametrize(
        "first",
        [
            _seen(FIRST, 0, **_ended(1)),
            _seen(FIRST, 0, **_ended(2)),
            _seen(FIRST, 0, **_ended(137, "OOMKilled")),
            _seen(FIRST, 0, reason="DeadlineExceeded"),
        ],
    )
    def test_what_would_happen_again(self, first: pods.Seen) -> None:
        torn_down = _asked(_seen(SECOND, 1, **_ended(75)))
        assert pods.why_lost([torn_down, first]) is None

    def test_only_the_last_try_counts(self) -> None:
        drained, failed = _seen(FIRST, 0, **_ended(75)), _seen(SECOND, 1, number=1, **_ended(1))
        assert pods.why_lost([drained, failed]) is None

    def test_nothing_is_known_without_pods(self) -> None:
        assert pods.why_lost([]) is None


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
