"""A new detector is judged by its own pictures."""

from __future__ import annotations

import json

import pytest

from omnidet import config
from omnidet.model import bundle
from omnidet.recipes import by_name
from omnidet.recipes.photographs import of_folder
from omnidet.registry import versions
from omnidet.steps import photographs, retrain
from tests import toys
from tests.steps.retrain import cells_folder


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


@pytest.mark.parametrize(("side", "is_small"), [(64, True), (256, False)])
def test_boxes_that_are_hardly_shown_are_said_before_the_training(tmp_path, side, is_small):
    """They are about 24 pixels large, in pictures of 200."""
    cells = cells_folder.draw(tmp_path / "cells")
    read = str(tmp_path / "read")
    retrain.read(str(cells), read, "abc", cells_folder.split(tmp_path, 0, 1, 2, 3, 4))
    recipe = config.override(by_name("photographs"), f"model.image_size={side}")
    said = photographs.build_shards(read, str(tmp_path / "shards"), recipe, "cells")
    assert ("model.image_size=128" in said) == is_small
    assert ("boxes are at most" in said) == is_small


def test_the_recipe_of_a_folder_names_its_sets_and_numbers():
    recipe = of_folder(of_folder(by_name("photographs"), "cups"), "keys")
    assert [s.sets for s in recipe.streams] == [("train/keys",)]
    assert [(b.name, b.set_name) for b in recipe.evaluation.benchmarks] == [("keys", "eval/keys")]
    assert recipe.register.name == "keys"


def _register(place, seed: int, ap: float, names: list[str], sets: dict[str, str]) -> str:
    """A toy detector with these names that was measured on these sets, registered as `tools`."""
    facts = {"recipe": {"toy": 1}, "run": "toy", "git_commit": "none", "evaluation_sha256": sets}
    model, run = place / f"model{seed}", place / f"run{seed}"
    model.mkdir()
    run.mkdir()
    detector = toys.toy_detector(seed)
    bundle.save(model, detector, toys.toy_vocabulary(), names, facts)
    (run / "metrics.json").write_text(json.dumps({"tools/AP": ap}))
    recipe = of_folder(by_name("photographs"), "tools")
    return photographs.register(str(model), str(run), str(place / "registry"), recipe)


@pytest.mark.parametrize(
    ("names", "sets", "told"),
    [
        (["hammer", "rock", "tape"], {"eval/tools": "a"}, ("2 names", "battery", "wire")),
        (["Battery", "hammer", "wire"], {"eval/tools": "b"}, ("eval/tools",)),
        (["Battery", "hammer", "wire"], {}, ("eval/tools",)),
    ],
)
def test_what_cannot_be_compared_with_the_champion_stands_beside_it(tmp_path, names, sets, told):
    _register(tmp_path, 1, 0.2, ["battery", "hammer", "wire"], {"eval/tools": "a"})
    line = _register(tmp_path, 2, 0.9, names, sets)
    assert "\n" not in line
    promote = f"omnidet models promote tools@2 --registry {tmp_path / 'registry'}"
    for part in (*told, "tools@1 stays the champion", promote):
        assert part in line
    assert versions.aliases(tmp_path / "registry", "tools") == {"champion": 1}
    receipt = json.loads((tmp_path / "run2" / "registered.json").read_text())
    assert (receipt["version"], receipt["is_champion"]) == ("tools@2", False)


def test_a_champion_that_was_taught_more_keeps_its_place(tmp_path):
    _register(tmp_path, 1, 0.2, ["hammer"], {"eval/tools": "a", "eval/more": "b"})
    assert "eval/more" in _register(tmp_path, 2, 0.9, ["hammer"], {"eval/tools": "a"})
    assert versions.aliases(tmp_path / "registry", "tools") == {"champion": 1}


def test_one_that_knows_more_and_is_as_good_on_the_same_pictures_is_the_champion(tmp_path):
    _register(tmp_path, 1, 0.2, ["hammer"], {"eval/tools": "a"})
    line = _register(tmp_path, 2, 0.2, ["hammer", "rock"], {"eval/tools": "a"})
    assert "stays" not in line
    assert versions.aliases(tmp_path / "registry", "tools") == {"champion": 2}
