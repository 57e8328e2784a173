"""A Kubeflow Pipelines server, and what the committed packages hold."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from pipelines import package
from tests.pipelines.fake_kfp import Fake


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch, tmp_path) -> Iterator[Fake]:
    """A running server, found by the environment; every call it gets must be one it knows."""
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.setenv(name, "127.0.0.1")
    for name in ("KFP_TOKEN", "KFP_TOKEN_FILE", "KFP_NAMESPACE"):
        monkeypatch.delenv(name, raising=False)
    # `kfp.Client` writes the namespace of the user to a file, whose place no setting changes.
    monkeypatch.setattr("kfp.client.Client._LOCAL_KFP_CONTEXT", str(tmp_path / "context.json"))
    with Fake() as server:
        monkeypatch.setenv("KFP_ENDPOINT", server.host)
        yield server
    assert server.unexpected == []


@pytest.fixture(scope="session")
def spec() -> dict[str, Any]:
    """The pipeline `train_detector` in its package."""
    return package.spec(package.path("train_detector"))


@pytest.fixture(scope="session")
def tasks(spec: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Each of its steps, by the name of the task, with the settings of its executor."""
    _, platform = yaml.safe_load_all(package.path("train_detector").read_text())
    kubernetes = platform["platforms"]["kubernetes"]["deploymentSpec"]["executors"]
    found: dict[str, dict[str, Any]] = {}
    for component in [spec["root"], *spec["components"].values()]:
        for name, task in component.get("dag", {}).get("tasks", {}).items():
            label = spec["components"][task["componentRef"]["name"]].get("executorLabel")
            if label:
                container = spec["deploymentSpec"]["executors"][label]["container"]
                found[name] = {
                    "task": task,
                    "container": container,
                    "kubernetes": kubernetes[label],
                }
    return found
