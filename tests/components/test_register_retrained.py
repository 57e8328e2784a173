"""A retrained detector becomes the champion, unless the champion has changed meanwhile."""

from __future__ import annotations

import pytest

from components.gate_retrained import gate_retrained
from components.register_retrained import register_retrained
from omnidet import storage
from omnidet.registry import versions
from tests.components.steps import Artifact, Retraining, retraining


@pytest.fixture
def run(tmp_path, monkeypatch) -> Retraining:
    """One that the gate let pass."""
    monkeypatch.delenv("MODEL_REGISTRY_ADDRESS", raising=False)
    passed = retraining(tmp_path)
    assert gate_retrained.python_func(passed.folder, passed.registry, "tiny_world", []) is True
    return passed


def test_it_becomes_the_champion(run, tmp_path):
    artifact = Artifact(tmp_path / "model.json")
    given = (run.folder, run.registry, "tiny_world", [], artifact)
    assert register_retrained.python_func(*given) == "toy@2"
    assert versions.aliases(run.registry, "toy") == {"champion": 2}
    assert artifact.metadata["version"] == "toy@2"
    assert storage.exists(f"{run.folder}/registered.json")


def test_another_champion_stays(run, tmp_path):
    versions.register(run.registry, "toy", tmp_path / "champion", {"coco/AP": 0.9}, {})
    versions.promote(run.registry, "toy", 2)
    artifact = Artifact(tmp_path / "model.json")
    with pytest.raises(ValueError, match=r"toy@2 .*toy@1"):
        register_retrained.python_func(run.folder, run.registry, "tiny_world", [], artifact)
    assert versions.aliases(run.registry, "toy") == {"champion": 2}
    assert not storage.exists(f"{run.folder}/registered.json")
