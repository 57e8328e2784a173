"""The last step: a version, the champion's alias, and what the Model Registry hears."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from components.gate import gate
from components.register import register
from components.run import outcome, places
from omnidet import storage
from omnidet.registry import versions
from tests.components.steps import Artifact, run_folder
from tests.registry.fake_model_registry import ModelRegistry

SETTINGS = ["register.name=toy"]


@pytest.fixture(autouse=True)
def no_source(monkeypatch):
    """The step notes the run in the environment, from which the test removes it again."""
    for name in ("OMNIDET_RUN_ID", "OMNIDET_RUN_NAME", "OMNIDET_RUN_NAMESPACE"):
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)
    monkeypatch.delenv("MODEL_REGISTRY_ADDRESS", raising=False)


def _register(run: str, registry: str, artifact: Artifact, run_name: str = "weekly 7") -> str:
    model, metrics = storage.join(run, "model"), places.metrics(run)
    given = (model, metrics, registry, run, run_name, "tiny_world", SETTINGS)
    return str(register.python_func(*given, artifact))


def test_it_registers_once_however_often_it_is_tried(tmp_path):
    run, registry = run_folder(tmp_path), str(tmp_path / "registry")
    artifact = Artifact(tmp_path / "model.json")
    assert gate.python_func(places.metrics(run), registry, run, "tiny_world", SETTINGS) is True
    for _ in range(2):
        assert _register(run, registry, artifact) == "toy@1"
    assert artifact.metadata["version"] == "toy@1"
    noted = json.loads(storage.read_text(f"{run}/registered.json"))
    assert noted == json.loads(Path(artifact.path).read_text()) == artifact.metadata
    assert versions.aliases(registry, "toy") == {"champion": 1}


def test_a_champion_that_changed_after_the_gate_is_not_replaced(tmp_path):
    """Two runs passed against the same champion: the second has to be compared with the first."""
    registry, artifact = str(tmp_path / "registry"), Artifact(tmp_path / "model.json")
    first, second = (run_folder(tmp_path, seed) for seed in (0, 1))
    for run in (first, second):
        assert gate.python_func(places.metrics(run), registry, run, "tiny_world", SETTINGS) is True
    assert _register(first, registry, artifact) == "toy@1"
    with pytest.raises(ValueError, match=r"toy@champion .*version 1"):
        _register(second, registry, artifact)
    assert not storage.exists(f"{second}/registered.json")
    assert versions.aliases(registry, "toy") == {"champion": 1}


def test_what_was_rolled_back_is_not_promoted_again_by_a_schedule(tmp_path, capsys):
    """A schedule that trains the same again gets the same weights."""
    registry, artifact = str(tmp_path / "registry"), Artifact(tmp_path / "model.json")
    first, second = (run_folder(tmp_path, seed) for seed in (0, 1))
    for run in (first, second):
        assert gate.python_func(places.metrics(run), registry, run, "tiny_world", SETTINGS) is True
        _register(run, registry, artifact)
    assert versions.aliases(registry, "toy") == {"champion": 2}
    assert _register(second, registry, artifact) == "toy@2"  # tried again
    versions.rollback(registry, "toy")
    assert gate.python_func(places.metrics(second), registry, second, "tiny_world", SETTINGS)
    capsys.readouterr()
    assert _register(second, registry, artifact) == "toy@2"
    assert versions.aliases(registry, "toy") == {"champion": 1}
    said = capsys.readouterr().out
    assert "omnidet models promote toy@2" in said
    assert outcome.find(said) == ("registered", "toy@2")
    versions.promote(registry, "toy", 2)
    assert gate.python_func(places.metrics(second), registry, second, "tiny_world", SETTINGS)
    _register(second, registry, artifact)
    assert outcome.find(capsys.readouterr().out) == ("registered", "toy@2, champion")


def test_the_model_registry_hears_of_the_run(tmp_path, monkeypatch):
    server, run = ModelRegistry("v1alpha3"), run_folder(tmp_path)
    monkeypatch.setenv("MODEL_REGISTRY_ADDRESS", server.address)
    monkeypatch.setattr(places, "NAMESPACE_FILE", tmp_path / "namespace")
    (tmp_path / "namespace").write_text("team\n")
    try:
        _register(run, str(tmp_path / "registry"), Artifact(tmp_path / "model.json"))
    finally:
        server.stop()
    (artifact,) = server.artifacts[server.versions[0]["id"]]
    source = {
        key: artifact[f"modelSource{key}"] for key in ("Kind", "Class", "Group", "Id", "Name")
    }
    assert source == {
        "Kind": "kfp",
        "Class": "pipelinerun",
        "Group": "team",
        "Id": "run-0",
        "Name": "weekly 7",
    }
