"""Aliases as files: every change is kept, in order, and none is lost."""

from __future__ import annotations

import json

import pytest

from omnidet import storage
from omnidet.registry import pointers
from tests.registry.conftest import content


def test_an_alias_that_was_never_set(registry):
    assert pointers.read(registry, "toy", "champion") is None
    assert pointers.names(registry, "toy") == []


def test_each_change_is_a_file_that_stays(registry):
    assert pointers.change(registry, "toy", "champion", None, 1, ())
    first = pointers.read(registry, "toy", "champion")
    assert first == pointers.Pointer(1, (), 1)
    kept = content(f"{registry}/toy/aliases")
    assert pointers.change(registry, "toy", "champion", first, 2, (1,))
    assert pointers.read(registry, "toy", "champion") == pointers.Pointer(2, (1,), 2)
    now = content(f"{registry}/toy/aliases")
    assert kept.items() <= now.items()
    assert set(now) == {"champion/00000001.json", "champion/00000002.json"}
    assert "time" in json.loads(now["champion/00000002.json"])


def test_what_was_rolled_back_is_told_from_what_was_followed(registry):
    assert pointers.taken_back(registry, "toy", "champion") == set()
    for version, history in ((1, ()), (2, (1,)), (3, (1, 2))):
        before = pointers.read(registry, "toy", "champion")
        assert pointers.change(registry, "toy", "champion", before, version, history)
    assert pointers.taken_back(registry, "toy", "champion") == set()
    before = pointers.read(registry, "toy", "champion")
    assert pointers.change(registry, "toy", "champion", before, 2, (1,))
    assert pointers.taken_back(registry, "toy", "champion") == {3}


def test_a_change_of_what_has_changed_is_refused(registry):
    pointers.change(registry, "toy", "champion", None, 1, ())
    seen = pointers.read(registry, "toy", "champion")
    assert pointers.change(registry, "toy", "champion", seen, 2, (1,))
    assert not pointers.change(registry, "toy", "champion", seen, 3, (1,))
    assert not pointers.change(registry, "toy", "champion", None, 3, ())
    assert pointers.read(registry, "toy", "champion") == pointers.Pointer(2, (1,), 2)


def test_a_change_that_is_listed_late_is_seen(registry, monkeypatch):
    pointers.change(registry, "toy", "champion", None, 1, ())
    pointers.change(registry, "toy", "champion", pointers.Pointer(1, (), 1), 2, (1,))
    monkeypatch.setattr(storage, "list_files", lambda _: ["00000001.json"])
    assert pointers.read(registry, "toy", "champion") == pointers.Pointer(2, (1,), 2)


def test_an_alias_of_version_0_1_is_number_0(registry):
    old = json.dumps({"version": 2, "history": [1]})
    storage.write_text(f"{registry}/toy/aliases/champion.json", old)
    before = pointers.read(registry, "toy", "champion")
    assert before == pointers.Pointer(2, (1,), 0)
    assert pointers.change(registry, "toy", "champion", before, 3, (1, 2))
    assert pointers.read(registry, "toy", "champion") == pointers.Pointer(3, (1, 2), 1)


def test_only_aliases_are_named(registry):
    for file in ("champion/00000001.json", "old.json", "notes/readme.txt", "3/00000001.json"):
        storage.write_text(f"{registry}/toy/aliases/{file}", "{}")
    assert pointers.names(registry, "toy") == ["champion", "old"]


@pytest.mark.parametrize(
    ("text", "how"),
    [
        ("{", "is not JSON"),
        ("[]", "is not of the form"),
        ('{"version": "2"}', "is not of the form"),
        ('{"version": 2, "history": ["1"]}', "is not of the form"),
    ],
)
def test_a_damaged_alias_is_named(registry, text, how):
    storage.write_text(f"{registry}/toy/aliases/champion/00000002.json", text)
    with pytest.raises(ValueError, match=rf"aliases/champion/00000002.json {how}.*promote"):
        pointers.read(registry, "toy", "champion")


@pytest.mark.parametrize("folder", [pointers.FOLDER, pointers.COPIES])
def test_an_alias_and_its_copy_that_differ_are_named(registry, folder):
    assert pointers.change(registry, "toy", "champion", None, 1, ())
    file = storage.join(registry, "toy", folder, "champion", "00000001.json")
    changed = storage.read_text(file).replace('"version": 1', '"version": 2')
    storage.write_bytes(file, changed.encode())
    with pytest.raises(ValueError, match=r"toy@champion.*00000001\.json.*something else"):
        pointers.read(registry, "toy", "champion")


def test_a_registry_that_cannot_be_written_is_named(tmp_path):
    place = tmp_path / "registry" / "toy" / pointers.FOLDER / "champion"
    place.parent.mkdir(parents=True)
    place.touch()
    with pytest.raises(OSError, match=r"aliases/champion/00000001.json cannot be written"):
        pointers.change(str(tmp_path / "registry"), "toy", "champion", None, 1, ())
