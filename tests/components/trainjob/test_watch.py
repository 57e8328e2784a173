"""What is kept of pods that JobSet removes, from events as a real cluster sent them."""

from __future__ import annotations

import datetime
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from components.trainjob import pods
from components.trainjob.pods import LOG_LINES
from components.trainjob.watch import PodWatch
from tests.components.trainjob.conftest import api
from tests.components.trainjob.fake_kubernetes import Fake, container, log_lines
from tests.components.trainjob.kubernetes_api import NAMESPACE
from tests.samples import kfp

JOB = "omnidet-train-a"
FIRST = f"{JOB}-node-0-0-abcde"


@pytest.fixture
def watch(fake: Fake) -> Iterator[PodWatch]:
    """A watch over the pods of a job that is there."""
    fake.add_job({"metadata": {"name": JOB}})
    with PodWatch(api(fake), NAMESPACE, JOB, 0.02) as started:
        yield started


def _wait_for(happened: Callable[[], Any]) -> None:
    give_up_at = time.monotonic() + 20
    while not happened():
        assert time.monotonic() < give_up_at, "it did not happen"
        time.sleep(0.01)


def _line(watch: PodWatch, text: str) -> Callable[[], bool]:
    return lambda: any(text in seen.lines for seen in watch.seen())


def test_a_removed_pod_leaves_its_last_lines_exit_code_and_reason(
    fake: Fake, watch: PodWatch
) -> None:
    fake.logs[FIRST] = log_lines(*(f"line {i}" for i in range(300)))
    pod = fake.add_pod(FIRST, JOB, **container("running"))
    _wait_for(_line(watch, "line 299"))
    fake.logs[FIRST] += log_lines("MemoryError", start=400)
    pod["status"] = {"phase": "Failed"} | container(
        "terminated", exitCode=137, reason="OOMKilled", finishedAt="2026-11-22T12:02:00Z"
    )
    fake.put_pod(pod)
    fake.remove_pod(FIRST)
    _wait_for(lambda: watch.seen()[0].is_gone)
    report = watch.report()
    assert f"{FIRST}: Failed, node exit code 137 (OOMKilled) (removed since)" in report
    assert "MemoryError" in report
    assert sum(line.startswith("  line ") for line in report.splitlines()) == LOG_LINES - 1


def test_a_pod_that_lived_between_two_looks_is_seen(fake: Fake, watch: PodWatch) -> None:
    _wait_for(lambda: fake.num_watching)
    fake.add_pod(FIRST, JOB, phase="Failed", reason="Evicted", message="low on memory")
    fake.remove_pod(FIRST)
    _wait_for(lambda: watch.seen() and watch.seen()[0].is_gone)
    assert "Failed, Evicted, low on memory" in watch.report()


def test_a_log_is_followed_through_dropped_connections(fake: Fake, watch: PodWatch) -> None:
    fake.logs[FIRST] = log_lines("one", "two", "three")
    fake.cut_log_after = 1
    fake.add_pod(FIRST, JOB, **container("running"))
    _wait_for(_line(watch, "three"))
    assert fake.cut_log_after is None


def test_a_container_that_starts_later_is_read_then(fake: Fake, watch: PodWatch) -> None:
    pod = fake.add_pod(
        FIRST, JOB, phase="Pending", **container("waiting", reason="ContainerCreating")
    )
    fake.logs[FIRST] = log_lines("step 0")
    _wait_for(watch.seen)
    assert fake.log_queries == []
    pod["status"] = {"phase": "Running"} | container("running")
    fake.put_pod(pod)
    _wait_for(_line(watch, "step 0"))


def test_without_the_right_to_watch_looks_are_what_is_known(
    fake: Fake, capsys: pytest.CaptureFixture[str]
) -> None:
    fake.add_job({"metadata": {"name": JOB}})
    fake.faults = [("watch", "pods", 403)] * 1000
    failed = container("terminated", exitCode=1, reason="Error")
    fake.logs[FIRST] = log_lines("RuntimeError: it broke")
    fake.add_pod(FIRST, JOB, phase="Failed", **failed)
    with PodWatch(api(fake), NAMESPACE, JOB, 0.02) as watch:
        _wait_for(lambda: fake.calls["watch", "pods"] > 1)
        assert "RuntimeError: it broke" in watch.report()
    assert capsys.readouterr().out.count("not watched") == 1


def test_a_failure_to_list_does_not_hide_what_was_seen(fake: Fake, watch: PodWatch) -> None:
    failed = container("terminated", exitCode=1, reason="Error")
    fake.add_pod(FIRST, JOB, phase="Failed", **failed)
    _wait_for(watch.seen)
    fake.faults = [("list", "pods", 503)] * 1000
    report = watch.report(patience_seconds=0.05)
    assert "node exit code 1 (Error)" in report
    assert "503" in report


def test_a_log_that_cannot_be_read_is_said(fake: Fake, watch: PodWatch) -> None:
    fake.faults = [("get", "pods/log", 500)] * 1000
    fake.add_pod(FIRST, JOB, phase="Failed", **container("terminated", exitCode=1))
    _wait_for(watch.seen)
    assert "(no log: " in watch.report()


def test_a_recorded_job_that_lost_a_pod(fake: Fake, watch: PodWatch) -> None:
    """Events of two pods, of which one was deleted: the first one to end tells."""
    _wait_for(lambda: fake.num_watching)
    events = kfp.recorded("trainjob_lost_pod_watch")[:25]
    for event in (one for one in events if one["kind"] == "Pod"):
        if event["type"] == "DELETED":
            fake.remove_pod(event["name"])
            continue
        metadata = {
            "name": event["name"],
            "namespace": NAMESPACE,
            "uid": event["name"],
            "labels": {"jobset.sigs.k8s.io/jobset-name": JOB},
        }
        if event["deletionTimestamp"]:
            metadata["deletionTimestamp"] = event["deletionTimestamp"]
        fake.put_pod({"metadata": metadata, "spec": {}, "status": event["status"]})
    _wait_for(lambda: [seen.is_gone for seen in watch.seen()] == [True, True])
    lost = next(one["name"] for one in events if one["deletionTimestamp"])
    assert pods.why_lost(watch.seen()) == f"pod {lost} was deleted"
    report = watch.report()
    assert report.count("node exit code 1 (Error) (removed since)") == 2
    assert report.index(lost) < report.index(next(one["name"] for one in events[1:2]))


def test_a_pod_that_a_lost_node_keeps_says_nothing_of_the_next_job(fake: Fake) -> None:
    watch = PodWatch(api(fake), NAMESPACE, JOB, 0.02)  # sees only what it is given
    due = datetime.datetime.now(datetime.UTC) - datetime.timedelta(minutes=5)
    old = fake.add_pod(FIRST, JOB, **container("running"))
    old["metadata"]["deletionTimestamp"] = due.isoformat()
    watch.take(old)
    failed = fake.add_pod(f"{FIRST}2", JOB, phase="Failed", **container("terminated", exitCode=1))
    watch.take(failed)
    assert pods.why_lost(watch.seen()) is None
    assert f"{FIRST}:" not in watch.report()
