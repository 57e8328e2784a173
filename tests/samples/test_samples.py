"""Which samples there are: drawn ones always, and real ones where somebody has them."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests import samples as sample_files


def test_a_named_folder_is_used(tmp_path, monkeypatch):
    monkeypatch.setenv(sample_files.VARIABLE, str(tmp_path))
    assert sample_files.real() == tmp_path


def test_a_named_folder_that_is_missing_is_an_error(tmp_path, monkeypatch):
    """A typo must not look like a run without samples."""
    monkeypatch.setenv(sample_files.VARIABLE, str(tmp_path / "nope"))
    with pytest.raises(pytest.UsageError, match=rf"OMNIDET_SAMPLES={tmp_path}/nope"):
        sample_files.real()


def test_without_any_there_are_none(tmp_path, monkeypatch):
    monkeypatch.delenv(sample_files.VARIABLE, raising=False)
    monkeypatch.setattr(sample_files, "BESIDE", tmp_path / "nope")
    assert sample_files.real() is None


def test_drawn_twice_the_bytes_are_the_same(drawn_samples, tmp_path):
    def content(root: Path) -> dict[str, bytes]:
        return {str(p.relative_to(root)): p.read_bytes() for p in root.rglob("*") if p.is_file()}

    again = sample_files.draw(tmp_path / "again")
    # Parquet and tar files among them.
    assert content(again).keys() == content(drawn_samples.root).keys()
    assert content(again) == content(drawn_samples.root)
