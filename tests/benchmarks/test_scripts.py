"""Every benchmark runs at toy size, prints a table and writes its numbers."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from omnidet.steps import train_detector
from tests import toy_runs

ROOT = Path(__file__).parents[2]
KEYS = {
    "inference": (
        "onnx_over_eager_demo_1",
        "int8_over_eager_demo_1",
        "compile_over_eager_vit_1",
        "grounding_dino_over_eager_vit_1",
        "owlvit_over_eager_vit_1",
    ),
    "train_step": (
        "step_over_backbone_time",
        "step_over_backbone_memory",
        "speed_over_grounding_dino",
        "speed_over_owlvit",
        "matching_and_losses_share",
        "step_vocabulary_300000_over_30000",
    ),
    "concepts": (
        "time_1203_over_80",
        "time_100000_over_80",
        "top_300_as_exhaustive",
        "grounding_dino_1203_over_ours",
        "seconds_owlvit_cached_100000",
    ),
    "many_names": ("seconds_6000", "seconds_without_tokens_80", "memory_bytes_1203"),
}
SMALL = {
    "evaluators": (["--small", "10", "--large", "0"], "coco_10/ours/difference"),
    "shards": (["--only", "speed", "--images", "20"], "build_over_tar"),
    "web_images": (["--images", "20"], "omnidet.per_second_and_core"),
    "serving": (["--tiny", "--clients", "2"], "processor_rate_over_bare_2"),
    "predicting": (["--tiny", "--rounds", "1"], "folder_over_bare"),
    "loader": (["--size", "64", "--steps", "10", "--rounds", "1"], "loader_over_bare_loop"),
}
"""Options for a small run, and a key that it writes."""


def _run(name: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(ROOT / "benchmarks" / f"{name}.py"), *arguments]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    return subprocess.run(command, capture_output=True, text=True, timeout=300, env=environment)


@pytest.mark.slow
@pytest.mark.parametrize("name", KEYS)
def test_a_benchmark_of_models_writes_its_keys_and_a_plot(name, tmp_path):
    out, plot = tmp_path / "out.json", tmp_path / "out.svg"
    ran = _run(name, "--tiny", "--rounds", "1", "--json", str(out), "--plot", str(plot))
    assert ran.returncode == 0, ran.stderr
    values = json.loads(out.read_text())
    assert set(KEYS[name]) <= set(values)
    # A toy may take no memory to speak of.
    assert all(0 <= value < float("inf") for value in values.values())
    assert plot.read_text().count("<rect") > 2
    assert ran.stdout.count("|---") >= 2


@pytest.mark.slow
@pytest.mark.parametrize("name", SMALL)
def test_a_benchmark_of_data_writes_its_keys(name, tmp_path):
    options, key = SMALL[name]
    more = {
        "shards": ["--folder", str(tmp_path)],
        "web_images": ["--pictures", str(tmp_path / "pictures")],
        "loader": ["--data", str(tmp_path / "world" / "coco")],
    }.get(name, [])
    if name == "loader":
        train_detector.draw_world(str(tmp_path / "world"), toy_runs.recipe())
    ran = _run(name, *options, *more, "--json", str(tmp_path / "out.json"))
    assert ran.returncode == 0, ran.stderr
    values = json.loads((tmp_path / "out.json").read_text())
    assert values[key] >= 0


@pytest.mark.slow
def test_the_benchmark_of_backbones_tells_what_is_taken_from_what_is_refused(tmp_path):
    names = ("vit_tiny_patch16_224", "levit_128s", "convmixer_768_32")
    ran = _run("backbones", "--only", *names, "--json", str(tmp_path / "out.json"))
    assert ran.returncode == 0, ran.stderr
    vit, levit, convmixer = (json.loads((tmp_path / "out.json").read_text())[n] for n in names)
    assert (vit["kind"], vit["sides"]) == ("timm_vit", "any")
    assert (levit["kind"], levit["sides"]) == ("timm_features", "one")
    assert "another model" in convmixer["refused"]


@pytest.mark.slow
def test_the_benchmark_of_retraining_names_its_options():
    ran = _run("retraining", "--help")
    assert ran.returncode == 0, ran.stderr
    assert "--measure-only" in ran.stdout


@pytest.mark.slow
def test_the_benchmark_of_a_gpu_runs_every_line_on_a_cpu(tmp_path):
    ran = _run("gpu", "--tiny", "--device", "cpu", "--rounds", "1", "--json", str(tmp_path / "o"))
    assert ran.returncode == 0, ran.stderr
    values = json.loads((tmp_path / "o").read_text())
    assert values["images_a_second"] > 0
    assert values["model_tflop_of_a_step"] > 0


@pytest.mark.slow
@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_without_a_gpu_the_benchmark_says_that_nothing_is_measured():
    ran = _run("gpu")
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.strip() == "not measured: no CUDA device"
