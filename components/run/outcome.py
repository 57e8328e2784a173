"""What became of the detector, in one line of a step's log that `python -m pipelines` finds again.

The server of Kubeflow Pipelines says of a run only that it succeeded, whether a version was
registered, the gate said no, or there was nothing to do.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

_LINE = re.compile(r"outcome: (registered|refused|passed|nothing to do)(?:, | )?(.*)")


class Outcome(NamedTuple):
    """The end of a run.

    Attributes:
        kind: `registered`, `refused`, `passed` (the gate; what follows is not known) or
            `nothing to do`.
        text: the version and its aliases, or the reasons.
    """

    kind: str
    text: str

    def __str__(self) -> str:
        """For people."""
        if self.kind == "registered":
            return f"registered {self.text}"
        start = self.kind if self.kind == "nothing to do" else f"gate: {self.kind}"
        return f"{start}, {self.text}" if self.text else start


def registered(version: object, aliases: Sequence[str] = ()) -> None:
    """Say that a version was registered, and which aliases point to it."""
    print(f"outcome: registered {', '.join((str(version), *aliases))}", flush=True)


def judged(passed: bool, reasons: Sequence[str]) -> None:
    """Say what the gate decided."""
    kind = "passed" if passed else "refused"
    print(f"outcome: {', '.join([kind, *filter(None, ['; '.join(reasons)])])}", flush=True)


def nothing_to_do(why: str) -> None:
    """Say why the run ends after its first step."""
    print(f"outcome: nothing to do, {why}", flush=True)


def find(log: str) -> Outcome | None:
    """The outcome that a step's log tells, if it tells one."""
    found = [match for line in log.splitlines() if (match := _LINE.fullmatch(line.rstrip()))]
    return Outcome(found[-1][1], found[-1][2]) if found else None
