"""SIGTERM, which a terminated run and a drained node send: the work ends between its calls."""

from __future__ import annotations

import queue
import signal
import threading
from collections.abc import Callable
from types import FrameType

EXIT_CODE = 128 + signal.SIGTERM


class SigtermError(Exception):
    """SIGTERM arrived."""


def guarded(work: Callable[[], None], react: Callable[[], None]) -> None:
    """Do the work in a thread of its own. If SIGTERM arrives, `react` and raise SystemExit.

    An exception that a signal's handler raises may break in anywhere: in a finaliser, where Python
    drops it, or between the taking of a lock and the note that it was taken. Here the main thread
    does nothing but wait, and whatever the work is waiting for does not delay the reaction. The
    work must end by itself soon after `react` was called.

    Without a main thread, in which alone handlers may be set, the work is done as it is.
    """
    if threading.current_thread() is not threading.main_thread():
        work()
        return
    ended: queue.SimpleQueue[BaseException | None] = queue.SimpleQueue()

    def note(_number: int, _frame: FrameType | None) -> None:
        ended.put(SigtermError())  # the one class whose `put` a handler may call

    def do() -> None:
        try:
            work()
        except BaseException as error:  # noqa: BLE001  # raised again in the main thread
            ended.put(error)
        else:
            ended.put(None)

    thread = threading.Thread(target=do, name="trainjob", daemon=True)
    before = signal.signal(signal.SIGTERM, note)
    try:
        thread.start()
        outcome = ended.get()
        if isinstance(outcome, SigtermError):
            react()
            raise SystemExit(EXIT_CODE)
        thread.join()
        if outcome is not None:
            raise outcome
    finally:
        signal.signal(signal.SIGTERM, before)
