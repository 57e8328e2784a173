"""A new detector is judged by its own pictures."""

from __future__ import annotations

import json

import pytest

from omnidet.recipes import by_name
from omnidet.recipes.photographs import of_folder
from omnidet.steps import photographs, retrain


@pytest.mark.parametrize(
    ("ap50", "boxes", "value"),
    [(0.8, 40, None), (0.09, 40, "cups/AP50"), (0.8, 4, "4 boxes"), (None, 40, "cups/AP50")],
)
def test_the_gate_wants_more_than_guessing_and_boxes_that_show_it(
    tmp_path, monkeypatch, ap50, boxes, value
):
    monkeypatch.setattr(retrain, "count_boxes", lambda *_: boxes)
    reached = {"cups/AP": 0.5} | ({} if ap50 is None else {"cups/AP50": ap50})
    (tmp_path / "metrics.json").write_text(json.dumps(reached))
    recipe = of_folder(by_name("photographs"), "cups")
    decision = photographs.gate(str(tmp_path), "shards", recipe, "cups")
    written = json.loads((tmp_path / "gate.json").read_text())
    assert decision.passed == written["passed"] == (value is None)
    assert (value or "") in " ".join(written["reasons"])


def test_the_recipe_of_a_folder_names_its_sets_and_numbers():
    recipe = of_folder(of_folder(by_name("photographs"), "cups"), "keys")
    assert [s.sets for s in recipe.streams] == [("train/keys",)]
    assert [(b.name, b.set_name) for b in recipe.evaluation.benchmarks] == [("keys", "eval/keys")]
    assert recipe.register.name == "keys"
