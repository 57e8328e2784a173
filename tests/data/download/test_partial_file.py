"""A file during its download: kept, started over, checked and published."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from omnidet.data.download.catalogue import RemoteFile
from omnidet.data.download.partial_file import (
    Fetched,
    GiveUpError,
    PartialFile,
    TransferError,
    file_hashes,
    mismatch,
    require_room,
)

CONTENT = b"0123456789"
SHA256 = hashlib.sha256(CONTENT).hexdigest()
MD5 = hashlib.md5(CONTENT, usedforsecurity=False).hexdigest()
KNOWN = RemoteFile("a", ("https://a/b",), 10, SHA256)
UNKNOWN = RemoteFile("a", ("https://a/b",))


def partial(folder: Path, file: RemoteFile, url="https://a/b", progress=lambda _: None):
    return PartialFile(folder / "a", file, url, progress)


def test_hashes(tmp_path):
    (tmp_path / "a").write_bytes(CONTENT)
    assert file_hashes(tmp_path / "a") == (10, SHA256, MD5)


@pytest.mark.parametrize(
    ("known", "problem"),
    [
        ({}, None),
        ({"size_bytes": 10, "sha256": SHA256, "md5": MD5}, None),
        ({"size_bytes": 11}, "10 bytes, expected 11"),
        ({"sha256": "0" * 64}, f"{SHA256}, expected {'0' * 64}"),
        ({"md5": "0" * 32}, f"{MD5}, expected {'0' * 32}"),
    ],
)
def test_what_differs_is_named(known, problem):
    found = mismatch(RemoteFile("a", **known), 10, SHA256, MD5)
    assert found is None if problem is None else problem in found


def test_written_resumed_and_published(tmp_path):
    seen = []
    part = partial(tmp_path, KNOWN, progress=seen.append)
    part.begin('"one"')
    part.write(iter([CONTENT[:3], CONTENT[3:5]]), append=False)
    again = partial(tmp_path, KNOWN)
    assert (again.size, again.validator) == (5, '"one"')
    again.write(iter([CONTENT[5:]]), append=True)
    assert again.publish() == Fetched("https://a/b", 10, SHA256)
    assert [path.name for path in tmp_path.iterdir()] == ["a"]
    assert (tmp_path / "a").read_bytes() == CONTENT
    assert sum(seen) == 5


@pytest.mark.parametrize(
    ("file", "url", "validator", "kept"),
    [
        (UNKNOWN, "https://a/b", '"one"', 5),
        (UNKNOWN, "https://a/b", "", 0),  # nothing could tell whether the rest belongs to it
        (UNKNOWN, "https://other/b", '"one"', 0),
        (KNOWN, "https://other/b", '"one"', 5),  # the hash can tell
    ],
)
def test_bytes_are_kept_only_if_the_rest_can_be_checked(tmp_path, file, url, validator, kept):
    part = partial(tmp_path, file)
    part.begin(validator)
    part.write(iter([CONTENT[:5]]), append=False)
    assert partial(tmp_path, file, url).size == kept


def test_a_damaged_record_is_no_record(tmp_path):
    (tmp_path / "a.part").write_bytes(CONTENT)
    (tmp_path / "a.part.json").write_text("[", encoding="utf-8")
    assert partial(tmp_path, UNKNOWN).size == 0


def test_a_wrong_file_is_discarded(tmp_path):
    seen = []
    part = partial(tmp_path, KNOWN, progress=seen.append)
    part.write(iter([b"x" * 10]), append=False)
    with pytest.raises(GiveUpError, match=SHA256):
        part.publish()
    assert list(tmp_path.iterdir()) == []
    assert sum(seen) == 0


def test_a_full_disk_is_named(tmp_path):
    part = partial(tmp_path, KNOWN)
    part.path.symlink_to("/dev/full")
    with pytest.raises(OSError, match=r"a\.part .*No space left on device"):
        part.write(iter([CONTENT]), append=True)
    require_room(1, part)
    with pytest.raises(TransferError, match="1,000,000,000,000 MB"):
        require_room(10**18, part)
