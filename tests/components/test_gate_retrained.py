"""The gate of a retraining: nothing forgotten, something learned."""

from __future__ import annotations

import json

import pytest

from components.gate_retrained import gate_retrained
from omnidet import storage
from tests.components.steps import retraining


@pytest.mark.parametrize(("after", "passed"), [(0.5, True), (0.05, False)])
def test_the_new_benchmark_must_gain(tmp_path, after, passed):
    run = retraining(tmp_path, after)
    settings = ["retrain.min_gain=0.1"]
    given = (run.folder, run.registry, "tiny_world", settings)
    assert gate_retrained.python_func(*given) is passed
    decision = json.loads(storage.read_text(f"{run.folder}/gate.json"))
    assert (decision["passed"], decision["champion"]) == (passed, "toy@1")
    assert ("cells/AP" in " ".join(decision["reasons"])) is not passed


def test_nothing_old_may_be_forgotten(tmp_path):
    run = retraining(tmp_path)
    storage.write_text(f"{run.folder}/metrics.json", '{"coco/AP": 0.1, "cells/AP": 0.5}')
    assert gate_retrained.python_func(run.folder, run.registry, "tiny_world", []) is False
