"""The gate's verdict, on the numbers of a toy run."""

from __future__ import annotations

import json

from components.gate import gate
from components.run import places
from omnidet import storage
from tests.components.steps import measured, run_folder

SETTINGS = ["register.name=toy", "gate.minimum=[coco/AP=0.4]"]


def _gate(run: str, registry: str) -> bool:
    return gate.python_func(places.metrics(run), registry, run, "tiny_world", SETTINGS)


def test_the_verdict_is_noted_in_the_folder_of_the_run(tmp_path):
    run, registry = run_folder(tmp_path), str(tmp_path / "registry")
    assert _gate(run, registry) is True
    assert json.loads(storage.read_text(f"{run}/gate.json"))["champion"] is None
    measured(run, {"coco/AP": 0.3})
    assert _gate(run, registry) is False
    decision = json.loads(storage.read_text(f"{run}/gate.json"))
    assert (decision["passed"], len(decision["reasons"])) == (False, 1)
