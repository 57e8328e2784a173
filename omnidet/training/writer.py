"""Writes checkpoints in the background, so that training does not wait for them."""

from __future__ import annotations

import sys
import threading
import time
from types import TracebackType

from omnidet.storage import Location
from omnidet.training import checkpoint
from omnidet.training.generation import Generation, SupersededError


class Writer:
    """Writes snapshots in a thread, one at a time.

    An error in the thread is raised by the next call, or by `check`, which costs nothing. If an
    object store does not answer, the thread tries again with growing pauses for `patience_seconds`,
    so that an outage of minutes does not stop a run of days.
    """

    def __init__(
        self,
        folder: Location,
        keep: int = 2,
        keep_every: int = 0,
        patience_seconds: float = 900.0,
        pause_seconds: float = 5.0,
        generation: Generation | None = None,
    ) -> None:
        """Nothing is written yet.

        Args:
            generation: of this process among those that write there: once another one has started,
                nothing more is written, and the error is SupersededError.
        """
        self.generation = generation
        self.folder, self.keep, self.keep_every = folder, keep, keep_every
        self.patience_seconds, self.pause_seconds = patience_seconds, pause_seconds
        self._thread: threading.Thread | None = None
        self._failure: BaseException | None = None
        self._is_over = threading.Event()

    def __enter__(self) -> Writer:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Wait for the last snapshot.

        If the block failed, its error counts: no store is waited for.
        """
        if kind is None:
            self.wait()
        elif self._thread:
            self._is_over.set()
            self._thread.join()

    def save(self, taken: checkpoint.Snapshot) -> None:
        """Start to write; returns at once, or when the snapshot before is written."""
        self.wait()
        self._thread = threading.Thread(
            target=self._write, args=(taken,), name="omnidet-checkpoint"
        )
        self._thread.start()

    def wait(self) -> None:
        """Return when everything is written. Raises the thread's error, if there was one."""
        if self._thread:
            self._thread.join()
            self._thread = None
        self.check()

    def check(self) -> None:
        """Raise the thread's error, if there has been one."""
        if self._failure:
            failure, self._failure = self._failure, None
            raise failure

    def _write(self, taken: checkpoint.Snapshot) -> None:
        give_up_at = time.monotonic() + self.patience_seconds
        pause = self.pause_seconds
        while True:
            try:
                self._check_generation()
                checkpoint.write(self.folder, taken, self.keep, self.keep_every)
                self._check_generation()
            except ConnectionError as error:
                if time.monotonic() + pause > give_up_at or self._is_over.is_set():
                    self._failure = error
                    return
                print(
                    f"checkpoint of step {taken.step} waits {pause:.0f} s: {error}",
                    file=sys.stderr,
                    flush=True,
                )
            except BaseException as error:  # noqa: BLE001  # `check` raises it in the main thread
                self._failure = self._cause(error)
                return
            else:
                return
            self._is_over.wait(pause)
            pause = min(2 * pause, 60.0)

    def _check_generation(self) -> None:
        if self.generation:
            self.generation.check()

    def _cause(self, error: BaseException) -> BaseException:
        """The error, unless another writer is why: it clears up what this one was writing."""
        try:
            self._check_generation()
        except SupersededError as superseded:
            return superseded
        except OSError:
            pass
        return error
