"""A changed picture is told from the one that was looked at before, whatever it is called."""

from __future__ import annotations

import os

import pytest

from omnidet.predictions.inputs import Item
from omnidet.predictions.journal import Journal
from omnidet.predictions.loader import Loader
from tests import toys

LINE = {"file": "a", "width": 1, "height": 1, "detections": []}


def _run(folder):
    return Journal(folder / "run", {}, "--save-dir")


def _look(folder, item):
    with Loader(1) as loader:
        list(loader.opened([item]))
    with _run(folder) as journal:
        journal.add({"image": item.name, **LINE, "source": item.source})


def test_a_file_is_known_from_any_folder_until_it_changes(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "a.png"
    path.write_bytes(toys.png(9, 9, []))
    _look(tmp_path, Item("a.png", "a"))
    os.utime(path, (1, 1))  # the content is what counts
    (tmp_path / "other").mkdir()
    monkeypatch.chdir(tmp_path / "other")
    with _run(tmp_path) as journal:
        assert journal.has(Item("../a.png", "a"))
        assert not journal.has(Item("a.png", "a"))
    path.write_bytes(toys.png(8, 9, []))
    with _run(tmp_path) as journal, pytest.raises(ValueError, match=r"a\.png.*--save-dir"):
        journal.has(Item(str(path), "a"))


def test_another_picture_on_standard_input_is_refused(tmp_path):
    _look(tmp_path, Item("standard input", "stdin", toys.png(9, 9, [])))
    with _run(tmp_path) as journal:
        assert journal.has(Item("standard input", "stdin", toys.png(9, 9, [])))
        with pytest.raises(ValueError, match=r"standard input.*--save-dir"):
            journal.has(Item("standard input", "stdin", toys.png(8, 9, [])))


def test_an_address_is_known_when_it_was_fetched(tmp_path):
    address = "https://example.org/a.png"
    source = {"path": address, "sha256": "1"}
    with _run(tmp_path) as journal:
        journal.add({"image": address, **LINE, "source": source})
        assert not journal.has(Item(address, "a"))
        assert journal.has(Item(address, "a", source=source))
        with pytest.raises(ValueError, match="example"):
            journal.has(Item(address, "a", source={**source, "sha256": "2"}))


def test_a_journal_without_sources_is_refused(tmp_path):
    with _run(tmp_path):
        pass
    (tmp_path / "run" / "predictions.jsonl").write_text(
        '{"image": "a", "file": "a", "detections": []}\n'
    )
    with pytest.raises(ValueError, match=r"`source`.*--save-dir"), _run(tmp_path):
        pass
