"""The mutations of `mutations.py`, a few of them: `python -m tests.data.mutations --bytes 1000000` runs them all."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.data.mutations import READERS


@pytest.mark.slow
def test_no_reader_does_wrong_on_mutated_bytes():
    """In a process of its own: its memory is bounded, and a crash of a library ends no other test."""
    command = [sys.executable, "-m", "tests.data.mutations", "--bytes", "15000", "--seed", "1"]
    ran = subprocess.run(command, cwd=Path(__file__).parents[2], capture_output=True, text=True, timeout=300)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert ran.stdout.count(" sound") >= len(READERS) - 2
