"""SIGTERM during work, wherever it arrives, and what becomes of the job that is watched."""

from __future__ import annotations

import dataclasses
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from components.trainjob import sigterm
from components.trainjob.job import run
from components.trainjob.owner import WATCHER
from tests.components.trainjob.conftest import DELETED, JOB, QUICK, api
from tests.components.trainjob.fake_kubernetes import Fake, ends, log_lines


def _kill() -> None:
    os.kill(os.getpid(), signal.SIGTERM)


def test_it_is_reacted_to_while_the_work_hangs() -> None:
    reacted = []
    hanging = threading.Event()

    def work() -> None:
        _kill()
        hanging.wait(60)

    with pytest.raises(SystemExit) as caught:
        sigterm.guarded(work, lambda: reacted.append(True))
    hanging.set()
    assert caught.value.code == 143
    assert reacted == [True]


def test_a_second_one_does_not_interrupt_the_reaction() -> None:
    reacted = []
    hanging = threading.Event()

    def work() -> None:
        _kill()
        hanging.wait(60)

    def react() -> None:
        _kill()
        time.sleep(0.05)
        reacted.append(True)

    with pytest.raises(SystemExit):
        sigterm.guarded(work, react)
    hanging.set()
    assert reacted == [True]


def test_it_arrives_while_the_work_takes_locks_and_frees_objects() -> None:
    """An exception out of the handler would be dropped in the finaliser or leave the lock held."""

    class Freed:
        def __del__(self) -> None:
            for _ in range(200):
                pass

    lock, stopped = threading.Condition(), threading.Event()

    def work() -> None:
        threading.Timer(0.05, _kill).start()
        while not stopped.wait(0):
            with lock:
                Freed()

    with pytest.raises(SystemExit):
        sigterm.guarded(work, stopped.set)
    with lock:  # nobody holds it
        pass


def test_without_it_the_outcome_is_that_of_the_work() -> None:
    done = []
    sigterm.guarded(lambda: done.append(True), lambda: None)
    assert done == [True]

    def fail() -> None:
        raise ValueError("why")

    with pytest.raises(ValueError, match="why"):
        sigterm.guarded(fail, lambda: None)


def test_the_handler_before_is_put_back() -> None:
    def own(*_: object) -> None:
        raise AssertionError

    before = signal.signal(signal.SIGTERM, own)
    try:
        sigterm.guarded(lambda: None, lambda: None)
        assert signal.getsignal(signal.SIGTERM) is own
    finally:
        signal.signal(signal.SIGTERM, before)


def test_in_another_thread_the_work_is_done_as_it_is() -> None:
    done = []
    work = threading.Thread(target=sigterm.guarded, args=(lambda: done.append(True), lambda: None))
    work.start()
    work.join()
    assert done == [True]


LAUNCHER = """
import dataclasses
from components.trainjob.cluster import Cluster
from components.trainjob.job import run
from tests.components.trainjob.conftest import JOB, QUICK
run(dataclasses.replace(JOB, deadline_seconds=30), Cluster(pause_seconds=0.01), lambda: None, QUICK)
"""


@pytest.fixture
def launcher(fake: Fake, tmp_path: Path) -> Iterator[Callable[[], subprocess.Popen[str]]]:
    """Starts a launcher as the step `step` of a run; it is killed at the end."""
    (tmp_path / "kubeconfig").write_text(fake.kubeconfig())
    own = {"KUBECONFIG": str(tmp_path / "kubeconfig"), "KFP_POD_NAME": "step", "KFP_POD_UID": "1"}
    started: list[subprocess.Popen[str]] = []

    def start() -> subprocess.Popen[str]:
        started.append(
            subprocess.Popen(
                [sys.executable, "-c", LAUNCHER], env=os.environ | own, stdout=subprocess.PIPE,
                text=True,
            )
        )  # fmt: skip
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.communicate()


def _wait_for(process: subprocess.Popen[str], line: str) -> None:
    assert process.stdout is not None
    assert any(text == f"{line}\n" for text in process.stdout)


def _end(process: subprocess.Popen[str]) -> str:
    """SIGTERM; what the process prints after that."""
    process.send_signal(signal.SIGTERM)
    out, _ = process.communicate(timeout=60)  # seconds on a quiet machine
    assert process.returncode == 143
    return out


@pytest.mark.slow
@pytest.mark.parametrize("moment", ["while it runs", "before it exists", "while the API hangs"])
def test_a_terminated_run_takes_the_job_along(
    fake: Fake, launcher: Callable[[], subprocess.Popen[str]], moment: str
) -> None:
    fake.add_run("step", "1")
    if moment == "before it exists":
        fake.faults = [("create", "trainjobs", 503)] * 100_000
    fake.add_pod(f"{JOB.name}-node-0-0-a", JOB.name)
    fake.logs[f"{JOB.name}-node-0-0-a"] = log_lines("step 0")
    process = launcher()
    if moment == "before it exists":
        give_up_at = time.monotonic() + 60
        while not fake.calls["create", "trainjobs"]:
            assert time.monotonic() < give_up_at, "it did not start"
            time.sleep(0.02)
    else:
        _wait_for(process, "step 0")
    fake.workflows["omnidet-train-detector-dgdzb"]["spec"]["activeDeadlineSeconds"] = 0
    if moment == "while the API hangs":
        fake.hangs = ("list", "pods")
        give_up_at = time.monotonic() + 60
        while not fake.num_hanging:
            assert time.monotonic() < give_up_at, "it did not look at the pods"
            time.sleep(0.02)
    _end(process)
    assert fake.deleted == ([] if moment == "before it exists" else DELETED)


@pytest.mark.slow
def test_a_pod_that_replaces_the_steps_adopts_the_job(
    fake: Fake, launcher: Callable[[], subprocess.Popen[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    pod = fake.add_run("step", "1")
    fake.add_pod(f"{JOB.name}-node-0-0-a", JOB.name)
    fake.logs[f"{JOB.name}-node-0-0-a"] = log_lines("step 0")
    process = launcher()
    _wait_for(process, "step 0")
    pod["metadata"]["deletionTimestamp"] = "2026-11-22T12:00:00Z"
    assert f"TrainJob {JOB.full_name} stays" in _end(process)
    fake.remove_pod("step")
    assert (fake.deleted, list(fake.jobs)) == ([], [JOB.name])
    fake.add_run("step-again", "2")
    monkeypatch.setenv("KFP_POD_NAME", "step-again")
    monkeypatch.setenv("KFP_POD_UID", "2")
    fake.status = ends("Complete")
    run(dataclasses.replace(JOB, deadline_seconds=30), api(fake), lambda: None, QUICK)
    assert (len(fake.created), fake.deleted) == (1, [])
    metadata = fake.jobs[JOB.name]["metadata"]
    assert [owner["uid"] for owner in metadata["ownerReferences"]] == ["uid-of-run"]
    assert metadata["annotations"] == {WATCHER: "step-again/2"}


@pytest.mark.slow
def test_without_a_run_sigterm_deletes_the_job(
    fake: Fake, launcher: Callable[[], subprocess.Popen[str]]
) -> None:
    fake.add_pod(f"{JOB.name}-node-0-0-a", JOB.name)
    fake.logs[f"{JOB.name}-node-0-0-a"] = log_lines("step 0")
    process = launcher()
    _wait_for(process, "step 0")
    _end(process)
    assert fake.deleted == DELETED
