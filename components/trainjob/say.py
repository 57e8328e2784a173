"""Lines for the log of a step, from several threads."""

from __future__ import annotations

import sys
from typing import TextIO


def say(text: str, file: TextIO | None = None) -> None:
    """Write a line, at once and whole.

    `print` writes a line and its end one after the other, and so two threads' lines may come as one
    line and an empty one.

    Args:
        file: default: standard output.
    """
    file = file or sys.stdout
    file.write(f"{text}\n")
    file.flush()
