"""How far a run is, for people: one line on standard error that is written over."""

from __future__ import annotations

import sys
import time
from typing import TextIO

from omnidet.counted import counted

EVERY_SECONDS = 0.5
EVERY_SECONDS_IN_A_LOG = 30.0


class Progress:
    """Counts pictures and says how many, how fast and how long still.

    Args:
        total: how many there are; None where nobody knows, as of a camera.
        done: how many were done by an earlier run.
        out: standard error by default.
    """

    def __init__(self, total: int | None, done: int = 0, out: TextIO | None = None) -> None:
        self._out = sys.stderr if out is None else out
        self._is_terminal = self._out.isatty()
        self._every = EVERY_SECONDS if self._is_terminal else EVERY_SECONDS_IN_A_LOG
        self._total, self._before = total, done
        self._count = 0
        self._started = self._said = time.monotonic()

    def step(self) -> None:
        """One more picture is done, or could not be read."""
        self._count += 1
        now = time.monotonic()
        if now - self._said >= self._every:
            self._said = now
            self._say(self.text(now - self._started))

    def clear(self) -> None:
        """Make room for another line."""
        if self._is_terminal:
            self._out.write("\r\033[K")
            self._out.flush()

    def text(self, seconds: float) -> str:
        """The line, so many seconds after the start."""
        rate = self._count / max(seconds, 1e-9)
        reached = self._before + self._count
        if self._total is None:
            return f"{counted(reached, 'picture')}, {rate:.1f} a second"
        left = (self._total - reached) / max(rate, 1e-9)
        return f"{reached} of {self._total} pictures, {rate:.1f} a second, {_clock(left)} left"

    def _say(self, text: str) -> None:
        end = "" if self._is_terminal else "\n"
        begin = "\r\033[K" if self._is_terminal else ""
        self._out.write(f"{begin}{text}{end}")
        self._out.flush()


def _clock(seconds: float) -> str:
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
