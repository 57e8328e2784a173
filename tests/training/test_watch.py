"""If a rank dies, the others end within moments and name its reason."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.slow
def test_no_rank_waits_for_a_dead_one(tmp_path):
    """One of three ranks raises, is killed or hangs, while the others wait in a collective."""
    ran = subprocess.run(
        [sys.executable, "-m", "tests.ranks", "deaths", str(tmp_path)],
        cwd=Path(__file__).parents[2], capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    cases = json.loads(ran.stdout.splitlines()[-1])
    for case in cases.values():
        assert case["codes"] == [[0, 1], [2, 1]]
        assert case["seconds"] < 30
    said = {
        part.partition("\n")[0]: part.partition("\n")[2].splitlines()
        for part in ran.stderr.split("case ")[1:]
    }
    # There is no launcher here, so rank 0 holds the store. If it ends first, rank 2 sees the
    # connection break and no reason.
    assert _stops(said["fails"], 0, "rank 1: step 7: det/names") or _stops(
        said["fails"], 2, "rank 1: step 7: det/names"
    )
    for rank in (0, 2):
        assert _stops(said["killed"], rank, "")
        assert _stops(said["stopped"], rank, "rank 1 has given no sign of life for 5 s")


def _stops(lines: list[str], rank: int, reason: str) -> bool:
    """Whether the rank said that it stops, and why."""
    return any(f"rank {rank} stops" in line and reason in line for line in lines)
