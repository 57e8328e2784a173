"""Processor time of this process and of the processes that make its batches."""

from __future__ import annotations

import multiprocessing
import os
import resource
import time
from pathlib import Path

_TICKS = os.sysconf("SC_CLK_TCK")


def seconds() -> float:
    """User and system time of this process and its children: those that ended, those that run."""
    ended = resource.getrusage(resource.RUSAGE_CHILDREN)
    running = sum(_of(child.pid) for child in multiprocessing.active_children())
    return time.process_time() + ended.ru_utime + ended.ru_stime + running


def _of(pid: int | None) -> float:
    try:
        # The name of the program, in brackets, may hold spaces.
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return 0.0  # it has just ended
    return (int(fields[11]) + int(fields[12])) / _TICKS
