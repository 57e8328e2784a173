"""No rank waits for a dead one: each rank shows that it is alive, and says why it dies.

The process group notices a lost peer late or, with NCCL, only at its timeout, and never says why.
Here, every rank writes a sign of life into the store through which the ranks found one another, and
reads the next rank's. The ranks form a ring, so the store has the same work per rank in a large job
as in a small one. A rank that fails leaves its reason in the store, and the others end within
seconds with that reason.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

from torch.distributed import PrefixStore, Store, TCPStore  # type: ignore[attr-defined]

BEAT_SECONDS = 2.0
SILENT_SECONDS = 40.0
"""A rank counts as dead after this long without a sign of life."""
_FAILED = "failed"
_REASON_SECONDS = 3 * BEAT_SECONDS


class Watch:
    """Watches the other ranks for this one."""

    def __init__(self, rank: int, size: int) -> None:
        self.rank, self.size = rank, size
        self._ended = threading.Event()
        # After torchrun's restart the store still holds what the ranks of the earlier attempt
        # wrote.
        names = ("TORCHELASTIC_RUN_ID", "TORCHELASTIC_RESTART_COUNT")
        self._prefix = "/".join(["omnidet", *(os.environ.get(name, "0") for name in names)])
        self._thread_store, self._store = self._connect(), self._connect()
        self._thread = threading.Thread(target=self._run, name="omnidet-watch", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """This rank has ended, successfully or not: the others must not miss it from now on."""
        self._ended.set()
        self._thread.join(timeout=2 * BEAT_SECONDS)

    def fail(self, reason: str) -> None:
        """Tell all ranks why this one ends. The first reason counts."""
        self._tell(self._store, reason)

    def reason_of_others(self) -> str | None:
        """Why another rank ended, after waiting a moment for it to say so; None if no rank did."""
        until = time.monotonic() + _REASON_SECONDS
        while time.monotonic() < until:
            try:
                if self._store.check([_FAILED]):
                    reason: str = self._store.get(_FAILED).decode()
                    return reason
            except RuntimeError:  # the store went with rank 0
                return None
            time.sleep(0.1)
        return None

    def _run(self) -> None:
        neighbour, count = (self.rank + 1) % self.size, 0
        seen, seen_at = b"", time.monotonic()
        while True:
            is_last = self._ended.wait(BEAT_SECONDS if count else 0)
            count += 1
            try:
                self._thread_store.set(f"alive/{self.rank}", "done" if is_last else str(count))
                if is_last:
                    return
                if self._thread_store.check([_FAILED]):
                    self._end(self._thread_store.get(_FAILED).decode())
                now = (
                    self._thread_store.get(f"alive/{neighbour}")
                    if self._thread_store.check([f"alive/{neighbour}"])
                    else b""
                )
            except RuntimeError:
                if self._ended.is_set():
                    return
                self._end("the store of the ranks is gone, and with it rank 0 or its launcher")
            if now != seen or now == b"done":
                seen, seen_at = now, time.monotonic()
            elif time.monotonic() - seen_at > SILENT_SECONDS:
                reason = (
                    f"rank {neighbour} has given no sign of life for {SILENT_SECONDS:.0f} s: "
                    "see its node's log"
                )
                self._tell(self._thread_store, reason)
                self._end(reason)

    def _end(self, reason: str) -> None:
        """End this process from its watching thread: the main thread may wait forever."""
        time.sleep(2 * BEAT_SECONDS)  # a main thread that notices by itself ends in an orderly way
        if not self._ended.is_set():
            print(
                f"rank {self.rank} stops because another rank is gone: {reason}",
                file=sys.stderr,
                flush=True,
            )
            os._exit(1)

    def _tell(self, store: Store, reason: str) -> None:
        try:
            if not store.check([_FAILED]):
                store.set(_FAILED, reason)
        except RuntimeError as error:
            print(
                f"rank {self.rank} could not tell the other ranks: {error}",
                file=sys.stderr,
                flush=True,
            )

    def _connect(self) -> Store:
        host, port = os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"])
        store = TCPStore(host, port, is_master=False, timeout=timedelta(seconds=60))
        return PrefixStore(self._prefix, store)


@contextmanager
def watch(rank: int, size: int) -> Iterator[Watch]:
    """Watch while the block runs; all ranks are told of an exception that leaves it."""
    guard = Watch(rank, size)
    guard.start()
    try:
        yield guard
    except ConnectionError:  # it only notices what happened elsewhere
        raise
    except Exception as error:
        guard.fail(f"rank {rank}: {' '.join(str(error).split()) or type(error).__name__}")
        raise
    finally:
        guard.stop()
