"""A detector to register, and registries: in a folder, and on a real object store."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from omnidet import storage
from tests import toys
from tests.object_store import OneAtATime


@pytest.fixture
def model(tmp_path) -> Path:
    """A toy detector."""
    toys.write_bundle(tmp_path / "model")
    return tmp_path / "model"


@pytest.fixture(params=["local", pytest.param("s3", marks=pytest.mark.s3)])
def registry(request, tmp_path) -> str:
    """An empty registry, once in a folder and once on an object store."""
    if request.param == "s3":
        return f"{request.getfixturevalue('s3').uri}/models/registry"
    return str(tmp_path / "registry")


@pytest.fixture
def one_at_a_time(s3) -> Iterator[OneAtATime]:
    """The object store with atomic conditional writes, which Swift does in two steps."""
    with OneAtATime(s3.store) as front:
        yield front


def content(location: str) -> dict[str, bytes]:
    """All files at a location."""
    return {
        name: storage.read_bytes(storage.join(location, name))
        for name in storage.list_files(location)
    }


def place_versions(registry: str, count: int) -> None:
    """Versions that an alias may point to: their index alone makes a folder a version."""
    for number in range(1, count + 1):
        storage.write_text(f"{registry}/toy/{number}/version.json", "{}")
