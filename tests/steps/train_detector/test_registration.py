"""The gate and the registry as steps; `tests/commands/test_steps.py` runs them as commands."""

from __future__ import annotations

import json

import pytest

from omnidet import storage
from omnidet.config import override
from omnidet.recipes.tiny_world import tiny_world
from omnidet.registry import versions
from omnidet.steps import train_detector
from tests import toys

RECIPE = override(tiny_world(), "register.name=toy")


@pytest.fixture
def model(tmp_path) -> str:
    toys.write_bundle(tmp_path / "model")
    return str(tmp_path / "model")


def _metrics(tmp_path, ap: float) -> str:
    path = tmp_path / f"metrics-{ap}.json"
    path.write_text(json.dumps({"coco/AP": ap}))
    return str(path)


def test_an_alias_moves_only_from_what_was_expected(model, tmp_path):
    registry = str(tmp_path / "registry")
    first, is_new = train_detector.register(
        model, _metrics(tmp_path, 0.1), registry, RECIPE, "champion", None
    )
    assert (first.number, is_new) == (1, True)
    with pytest.raises(ValueError, match="champion"):
        train_detector.register(model, _metrics(tmp_path, 0.2), registry, RECIPE, "champion", None)
    assert versions.aliases(registry, "toy") == {"champion": 1}
    train_detector.register(model, _metrics(tmp_path, 0.3), registry, RECIPE, "champion", 1)
    assert versions.find(registry, "toy@champion").metrics == {"coco/AP": 0.3}


def test_a_wrong_alias_registers_nothing(model, tmp_path):
    with pytest.raises(ValueError, match="alias '3'"):
        train_detector.register(
            model, _metrics(tmp_path, 0.1), str(tmp_path / "registry"), RECIPE, "3"
        )
    assert not (tmp_path / "registry").exists()


def test_the_decision_has_the_numbers_and_the_rules(model, tmp_path):
    registry, out = str(tmp_path / "registry"), tmp_path / "decision.json"
    train_detector.register(model, _metrics(tmp_path, 0.5), registry, RECIPE, "champion")
    assert not train_detector.gate(_metrics(tmp_path, 0.4), registry, out, RECIPE)
    decision = json.loads(out.read_text())
    assert decision["champion"] == "toy@1"
    assert decision["rows"][0]["candidate"] == 0.4
    assert decision["config"]["max_drop"] == RECIPE.gate.max_drop
    assert train_detector.gate(_metrics(tmp_path, 0.6), registry, out, RECIPE)


def test_a_drop_that_chance_explains_on_its_images_is_none(model, tmp_path):
    registry, out, evaluation = str(tmp_path / "registry"), tmp_path / "d.json", tmp_path / "e"
    train_detector.register(model, _metrics(tmp_path, 0.5), registry, RECIPE, "champion")
    metrics = _metrics(tmp_path, 0.4)
    details = {"coco": {"intervals": {"AP": [0.3, 0.52]}}}
    index = {"values": {"coco/AP": 0.4}, "protocols": {}, "details": details}
    storage.write_text(evaluation / storage.INDEX_NAME, json.dumps(index))
    assert train_detector.gate(metrics, registry, out, RECIPE, evaluation)
    assert json.loads(out.read_text())["rows"][0]["by_chance"] is True
    assert not train_detector.gate(metrics, registry, out, RECIPE)
    with pytest.raises(ValueError, match="is not the evaluation"):
        train_detector.gate(_metrics(tmp_path, 0.45), registry, out, RECIPE, evaluation)
