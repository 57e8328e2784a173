"""What a person sees while a run goes on: a line for each change of a step."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from pipelines import run_steps
from pipelines.run_steps import Step

WAIT_SECONDS = 60
"""How long a pod may wait before a line says so: a node takes some seconds to start one."""


class Progress:
    """Prints how the steps of one run change from look to look.

    Args:
        write: gets each line.
        clock: seconds that only grow.
    """

    def __init__(
        self, write: Callable[[str], None], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._write = write
        self._clock = clock
        self._said: dict[str, tuple[str, int]] = {}
        self._waiting_since: dict[str, float] = {}
        self._state: str | None = None

    def look(self, run: Any) -> None:
        """Say what has changed since the last look."""
        has_ended = run.state not in (None, "PENDING", "RUNNING", "CANCELING", "PAUSED")
        if run.state != self._state and not has_ended:
            self._state = run.state
            self._write(f"run {run.run_id}: {run.state or 'PENDING'}")
        for step in run_steps.steps(run):
            if step.state == "WAITING":
                if not has_ended:
                    self._wait(step)
                continue
            self._waiting_since.pop(step.name, None)
            before = self._said.get(step.name)
            now = (step.state, step.tries)
            if now == before:
                continue
            self._said[step.name] = now
            line = _line(step, before)
            if line and not (has_ended and step.state == "RUNNING"):
                self._write(line)

    def _wait(self, step: Step) -> None:
        now = self._clock()
        since = self._waiting_since.setdefault(step.name, now)
        key = ("WAITING", step.tries)
        is_new = self._said.get(step.name) != key
        if is_new and (step.message or now - since >= WAIT_SECONDS):
            self._said[step.name] = key
            self._write(f"{step.name}: {waits(step)}")


def waits(step: Step) -> str:
    """What a step waits for, as far as the server says."""
    if step.message:
        return f"waits: {step.message}"
    return (
        "waits for a node, or its image is being pulled: its cpu, memory or gpus may fit no node, "
        "`kubectl get events` says"
    )


def _line(step: Step, before: tuple[str, int] | None) -> str:
    took = "" if step.seconds is None else f" after {step.seconds:.0f} s"
    tries = f", try {step.tries}" if step.tries > 1 else ""
    if step.state == "RUNNING":
        again = before is not None and before[0] in ("RUNNING", "FAILED")
        return f"{step.name}: {'tried again' if again else 'started'}{tries}"
    words = {
        "SUCCEEDED": f"done{took}{tries}",
        "CACHED": "from the cache",
        "FAILED": f"failed{took}{tries}",
    }
    return f"{step.name}: {words.get(step.state, step.state.lower())}"
