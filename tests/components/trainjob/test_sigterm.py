"""SIGTERM during work, wherever it arrives."""

from __future__ import annotations

import os
import signal
import threading
import time

import pytest

from components.trainjob import sigterm


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
