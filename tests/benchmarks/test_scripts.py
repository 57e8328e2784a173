"""Every benchmark runs, at toy size, prints a table and writes its numbers and a plot."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

ROOT = Path(__file__).parents[2]
KEYS = {
    "train_step": {
        *(
            "step_over_backbone_time",
            "step_over_backbone_memory",
            "speed_over_grounding_dino",
            "speed_over_owlvit",
        ),
        *("matching_and_losses_share", "step_vocabulary_300000_over_30000"),
    },
    "concepts": {
        "time_1203_over_80",
        "time_100000_over_80",
        "top_300_as_exhaustive",
        "grounding_dino_1203_over_ours",
    },
}


def _run(name: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(ROOT / "benchmarks" / f"{name}.py"), *arguments]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    return subprocess.run(command, capture_output=True, text=True, timeout=300, env=environment)


@pytest.mark.slow
@pytest.mark.parametrize("name", KEYS)
def test_a_benchmark_runs_and_writes_its_keys(name, tmp_path):
    ran = _run(
        name,
        "--tiny",
        "--rounds",
        "1",
        "--json",
        str(tmp_path / "out.json"),
        "--plot",
        str(tmp_path / "out.svg"),
    )
    assert ran.returncode == 0, ran.stderr
    values = json.loads((tmp_path / "out.json").read_text())
    assert KEYS[name] <= set(values)
    assert all(
        0 <= value < float("inf") for value in values.values()
    )  # toys need no memory to speak of
    assert (tmp_path / "out.svg").read_text().count("<rect") > 2
    assert ran.stdout.count("|---") >= 2


@pytest.mark.slow
@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_without_a_gpu_nothing_is_measured_and_that_is_said():
    ran = _run("gpu")
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.strip() == "not measured: no CUDA device"
