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
    reached = '{"coco/AP": 0.1, "cells/AP": 0.5, "cells/AP50": 0.8}'
    storage.write_text(f"{run.folder}/metrics.json", reached)
    held = ['retrain.keep=["all"]']
    assert gate_retrained.python_func(run.folder, run.registry, "tiny_world", held) is False
    decision = json.loads(storage.read_text(f"{run.folder}/gate.json"))
    assert ["coco/AP" in reason for reason in decision["reasons"]] == [True]


@pytest.mark.parametrize(
    ("before", "reached", "boxes", "value"),
    [
        (0.0, {"cells/AP": 0.0, "cells/AP50": 0.0}, 40, "cells/AP50: 0.0000"),
        (0.3, {"cells/AP": 0.3, "cells/AP50": 0.8}, 40, "0.3000 is not above"),
        (0.1, {"cells/AP": 0.3, "cells/AP50": 0.05}, 40, "cells/AP50: 0.0500"),
        (0.1, {"cells/AP": 1.0, "cells/AP50": 1.0}, 3, "measured by 3 boxes"),
        (0.1, {"cells/AP": 0.3}, 40, "cells/AP50"),
    ],
)
def test_what_has_shown_nothing_on_the_new_names_is_refused(
    tmp_path, before, reached, boxes, value
):
    run = retraining(tmp_path)
    for path, content in {
        "zero_shot/metrics.json": {"cells/AP": before},
        "metrics.json": {"coco/AP": 0.5, **reached},
        "measured.json": {"boxes": boxes},
    }.items():
        storage.write_text(f"{run.folder}/{path}", json.dumps(content))
    assert gate_retrained.python_func(run.folder, run.registry, "tiny_world", []) is False
    decision = json.loads(storage.read_text(f"{run.folder}/gate.json"))
    assert value in " ".join(decision["reasons"])
