"""The lock file: what was first seen, and what disagrees with it."""

import json

import pytest

from omnidet.data.download import lock_file
from omnidet.data.download.catalogue import RemoteFile
from omnidet.data.download.partial_file import TransferError

ENTRY = {"url": "https://a/b", "size_bytes": 3, "sha256": "0" * 64}


def test_entries_are_written_sorted_and_read_back(tmp_path):
    lock = tmp_path / lock_file.NAME
    assert lock_file.read(lock) == {}
    lock_file.write(lock, {"b": ENTRY, "a": ENTRY})
    assert lock_file.read(lock) == {"a": ENTRY, "b": ENTRY}
    content = json.loads(lock.read_text(encoding="utf-8"))
    assert list(content["files"]) == ["a", "b"]
    assert content["schema_version"] == 1


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("{", "not a lock file"),
        ("[]", "not a lock file"),
        ("[" * 100_000, "not a lock file"),
        ('{"schema_version": 1, "files": {"a": {"size_bytes": "3"}}}', "not a lock file"),
        ('{"schema_version": 9, "files": {}}', "version 9"),
    ],
)
def test_a_damaged_lock_file_is_named(tmp_path, content, problem):
    (tmp_path / lock_file.NAME).write_text(content, encoding="utf-8")
    with pytest.raises(ValueError, match=rf"{lock_file.NAME} .*{problem}"):
        lock_file.read(tmp_path / lock_file.NAME)


def test_a_file_gets_the_size_and_hash_of_its_entry():
    file = RemoteFile("a", ("https://a/b",))
    expected = lock_file.expected(file, {"a": ENTRY}, "lock")
    assert (expected.size_bytes, expected.sha256) == (3, "0" * 64)
    assert lock_file.expected(file, {"b": ENTRY}, "lock") == file


@pytest.mark.parametrize("known", [{"size_bytes": 4}, {"sha256": "1" * 64}])
def test_a_catalogue_that_disagrees_is_an_error(known):
    file = RemoteFile("a", ("https://a/b",), **known)
    ours, theirs = next(iter(known.values())), ENTRY[next(iter(known))]
    with pytest.raises(ValueError, match=f"a: the-lock .*{theirs}.*{ours}"):
        lock_file.expected(file, {"a": ENTRY}, "the-lock")


def test_the_hint_names_the_lock_file():
    assert "the-lock" in str(lock_file.with_hint(TransferError("a failed"), "the-lock"))
