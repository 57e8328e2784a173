"""Python programs in text, run in processes of their own."""

from __future__ import annotations

import subprocess
import sys


def start(script: str, *arguments: str) -> subprocess.Popen[str]:
    """Start a script, with pipes to its standard streams."""
    program = [sys.executable, "-c", script, *arguments]
    return subprocess.Popen(
        program, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
