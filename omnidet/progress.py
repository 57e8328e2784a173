"""How far something is: a bar on a terminal, a line now and then in a log.

A log keeps every state of a bar, in a single line that no viewer of pods can show.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sized
from typing import Any, TextIO

from tqdm import tqdm

LOG_SECONDS = 30.0
"""Between two lines where nobody watches; what takes less time leaves none."""


def bar(
    over: Iterable[Any] | None = None, *, desc: str, unit: str, total: int | None = None
) -> tqdm[Any]:
    """A progress bar over an iterable, or one to `update` by hand.

    Args:
        desc: what is done, such as the name of the data.
        unit: one of what is counted, such as `image`; `B` for bytes, shown as kB, MB and so on.
        total: how many there will be, if the iterable does not know.
    """
    counted: dict[str, Any] = {
        "desc": desc,
        "unit": unit,
        "total": total,
        "unit_scale": unit == "B",
    }
    if over is None:
        over = iter(())
    elif total is None and isinstance(over, Sized):
        counted["total"] = len(over)
    if sys.stderr.isatty():
        return tqdm(over, mininterval=1, **counted)
    number = "B" if unit == "B" else f" {unit}s"
    of, left = (" of {total_fmt}", ", {remaining} left") if counted["total"] else ("", "")
    return tqdm(
        over,
        file=_Lines(sys.stderr),
        mininterval=LOG_SECONDS,
        maxinterval=LOG_SECONDS,
        delay=LOG_SECONDS,
        bar_format=f"{{desc}}: {{n_fmt}}{of}{number}, {{rate_fmt}}{left}",
        **counted,
    )


class _Lines:
    """A file for tqdm that makes a line of each state, and leaves out what moves a cursor."""

    def __init__(self, out: TextIO) -> None:
        self._out = out

    def write(self, text: str) -> None:
        state = text.strip()
        if state and not state.startswith("\x1b"):
            self._out.write(f"{state}\n")

    def flush(self) -> None:
        self._out.flush()

    def isatty(self) -> bool:
        return False
