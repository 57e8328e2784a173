"""Several datasets at once: what is refused before anything is fetched, and the lines that are
printed.
"""

import pytest

from omnidet.data.download import datasets
from omnidet.data.download.catalogue import Dataset, RemoteFile
from omnidet.data.download.selection import Options


@pytest.fixture
def toys(tmp_path):
    (tmp_path / "source").mkdir()
    (tmp_path / "source" / "a").write_bytes(b"hello")
    a = RemoteFile("a.txt", ((tmp_path / "source" / "a").as_uri(),))
    by_hand = RemoteFile("b.txt", by_hand="https://form")
    return [Dataset("one", "", "", (a,)), Dataset("two", "", "", (by_hand,))]


def test_only_datasets_with_a_wanted_file_are_downloaded(toys, tmp_path):
    assert datasets.wanted(toys, Options(patterns=("a*",))) == toys[:1]
    (tmp_path / "b.txt").touch()
    assert datasets.wanted(toys, Options(path=tmp_path)) == toys


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"patterns": ("a*", "zz*")}, r"--files zz\*: one or two"),
        ({}, r"two: b\.txt .*https://form"),
        ({"path": "none"}, "--path .*none does not exist"),
        ({"path": ".", "patterns": ("a*",)}, "--path .* one or two has no such file"),
    ],
)
def test_what_would_fail_later_is_named_at_once(toys, tmp_path, options, problem):
    if "path" in options:
        options = {**options, "path": tmp_path / options["path"]}
    with pytest.raises(ValueError, match=problem):
        datasets.wanted(toys, Options(**options))


def test_a_line_is_printed_for_each_file(toys, tmp_path, capsys):
    for state, known in (("fetched", "first seen"), ("already there", "as expected")):
        datasets.download(toys[0], tmp_path / "out", Options())
        line = capsys.readouterr().out
        assert line.startswith(f"one: a.txt: {state}, 5 bytes, SHA-256 2cf24dba")
        assert known in line


def test_files_at_once(tmp_path):
    assert datasets.files_at_once(tmp_path) == Options().num_threads
    assert datasets.files_at_once("s3://bucket/a") == 8
