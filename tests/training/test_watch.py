"""A rank that dies takes the others along, within moments and with its reason."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.slow
def test_no_rank_waits_for_a_dead_one(tmp_path):
    """One of three ranks raises, is killed, or hangs without a sign of life, while the others stand in a collective."""
    ran = subprocess.run(
        [sys.executable, "-m", "tests.ranks", "deaths", str(tmp_path)],
        cwd=Path(__file__).parents[2], capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    told = json.loads(ran.stdout.splitlines()[-1])
    for case in told.values():
        assert case["codes"] == [[0, 1], [2, 1]]
        assert case["seconds"] < 30
    said = {
        part.partition("\n")[0]: part.partition("\n")[2] for part in ran.stderr.split("case ")[1:]
    }
    # Rank 0 holds the meeting point here, without a launcher: where it ends first, rank 2 sees the connection break and
    # no reason.
    stops = [
        f"rank {rank} stops, for another rank is gone: rank 1: step 7: det/names is not finite"
        for rank in (0, 2)
    ]
    assert any(line in said["fails"] for line in stops)
    for rank in (0, 2):
        assert f"rank {rank} stops, for another rank is gone" in said["killed"]
        assert (
            f"rank {rank} stops, for another rank is gone: rank 1 has given no sign of life for 5 s"
            in said["stopped"]
        )
