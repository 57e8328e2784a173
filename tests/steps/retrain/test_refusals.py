"""What the gate refused is known by what it depends on, and hidden from the registry's models."""

from __future__ import annotations

import dataclasses

import pytest

from omnidet import storage
from omnidet.registry import versions
from omnidet.steps.retrain import refusals
from omnidet.steps.retrain.refusals import Attempt

ATTEMPT = Attempt("toy@1", "cells", "abc", "tiny_world", ("retrain.steps=3",))


@pytest.fixture(params=["local", pytest.param("s3", marks=pytest.mark.s3)])
def registry(request, tmp_path) -> str:
    """An empty registry."""
    if request.param == "local":
        return str(tmp_path / "registry")
    return f"{request.getfixturevalue('s3').uri}/registry"


def test_it_is_remembered_until_it_is_forgotten(registry):
    assert refusals.recall(registry, ATTEMPT) is None
    refusals.forget(registry, ATTEMPT)
    refusals.remember(registry, ATTEMPT, "run-1", ["cells/AP: too low"])
    known = refusals.recall(registry, ATTEMPT)
    assert known == refusals.Known("run-1", ("cells/AP: too low",))
    assert "cells/AP: too low" in known.describe(ATTEMPT)
    assert versions.models(registry) == []
    refusals.forget(registry, ATTEMPT)
    assert refusals.recall(registry, ATTEMPT) is None


def test_what_was_registered_is_noted_as_such(tmp_path):
    refusals.remember(str(tmp_path), ATTEMPT, "run-1", registered="toy@2")
    known = refusals.recall(str(tmp_path), ATTEMPT)
    assert known == refusals.Known("run-1", (), "toy@2")
    assert "omnidet models promote toy@2" in known.describe(ATTEMPT)


@pytest.mark.parametrize("field", [field.name for field in dataclasses.fields(Attempt)])
def test_anything_else_is_another_attempt(tmp_path, field):
    registry = str(tmp_path)
    refusals.remember(registry, ATTEMPT, "run-1", [])
    other = dataclasses.replace(ATTEMPT, **{field: ("x",) if field == "settings" else "other"})
    assert refusals.recall(registry, other) is None


def test_another_version_of_the_software_tries_again(tmp_path, monkeypatch):
    refusals.remember(str(tmp_path), ATTEMPT, "run-1", [])
    monkeypatch.setattr("omnidet.__version__", "99")
    assert refusals.recall(str(tmp_path), ATTEMPT) is None


def test_a_damaged_note_is_named(tmp_path):
    refusals.remember(str(tmp_path), ATTEMPT, "run-1", [])
    (note,) = storage.list_files(tmp_path)
    (tmp_path / note).write_text("{")
    with pytest.raises(ValueError, match=note):
        refusals.recall(str(tmp_path), ATTEMPT)


def test_it_is_read_as_it_was_written():
    assert Attempt.of(ATTEMPT.describe()) == ATTEMPT
