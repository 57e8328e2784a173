"""A cluster to launch on, with the launcher's own RBAC rules."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.components.trainjob.fake_kubernetes import Fake

MANIFESTS = Path(__file__).resolve().parents[3] / "manifests"


def rules(file: str) -> list[dict[str, Any]]:
    """The RBAC rules that a manifest grants."""
    documents = yaml.safe_load_all((MANIFESTS / "base" / file).read_text(encoding="utf-8"))
    return [rule for document in documents for rule in document.get("rules", [])]


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> Iterator[Fake]:
    """A running server; nothing may have asked it for what it does not know."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    for name in ("KFP_POD_NAME", "KFP_POD_UID"):
        monkeypatch.delenv(name, raising=False)
    with Fake(rules=rules("launcher-rbac.yaml")) as server:
        yield server
    assert server.unexpected == []
