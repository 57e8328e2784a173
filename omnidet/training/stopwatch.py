"""How long a run has trained, over all of its processes."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

_KEY = "train_seconds"


class Stopwatch:
    """Starts when it is made, and goes on from the checkpoint that a process goes on from.

    What a process did after its last checkpoint before it was killed does not count: it is done
    again.
    """

    def __init__(self) -> None:
        self._started, self._before = time.monotonic(), 0.0

    @property
    def seconds(self) -> float:
        """Wall-clock time of this process and of those before it."""
        return self._before + time.monotonic() - self._started

    def facts(self) -> dict[str, float]:
        """What a checkpoint keeps."""
        return {_KEY: round(self.seconds, 3)}

    def go_on(self, facts: Mapping[str, Any]) -> None:
        """Add the time of the processes before, as a checkpoint has it."""
        self._before = float(facts.get(_KEY, 0.0))  # older checkpoints have none
