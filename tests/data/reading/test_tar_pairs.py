"""Pairs of picture and caption in tars: any order of members, each fault with its reason."""

from __future__ import annotations

import io
import json
import tarfile

import pytest

from omnidet.data.reading import tar_pairs
from omnidet.data.reading.dataset_folder import DataFolder
from omnidet.data.reading.quarantine import Quarantine
from tests.data.sources.handmade import jpeg


def write_tar(path, *members):
    with tarfile.open(path, "w") as tar:
        for name, content in members:
            info = tarfile.TarInfo(name)
            if content is None:
                info.type, info.linkname = tarfile.SYMTYPE, "/etc/hostname"
                tar.addfile(info)
            else:
                info.size = len(content)
                tar.addfile(info, io.BytesIO(content))


def read(folder, *names):
    quarantine = Quarantine()
    pieces = list(tar_pairs.pieces("toy", DataFolder(str(folder)), names))
    assert len(pieces) == len(names)
    return [record for piece in pieces for record in piece(quarantine)], dict(quarantine.counts)


def test_pairs_are_read_by_tar_and_key(tmp_path):
    write_tar(tmp_path / "0.tar", ("b.txt", b"two"), ("sub/a.JPG", jpeg(1)), ("b.jpg", jpeg(2)))
    write_tar(tmp_path / "1.tar", ("c.json", b'{"caption": " three "}'), ("c.jpeg", jpeg(3)))
    with tarfile.open(tmp_path / "0.tar", "a") as tar:
        info = tarfile.TarInfo("./sub/a.txt")
        info.size = 3
        tar.addfile(info, io.BytesIO(b"one"))
    records, counts = read(tmp_path, "0.tar", "1.tar")
    assert [(record.image_id, record.caption) for record in records] == [
        ("toy:0/b", "two"),
        ("toy:1/c", "three"),
    ]
    assert [record.image for record in records] == [jpeg(2), jpeg(3)]
    # `./sub/a` is another key than `sub/a`: half of a pair each.
    assert counts == {"toy: caption: empty caption": 1, "toy: record: missing image file": 1}
    ids = tar_pairs.image_ids("toy", DataFolder(str(tmp_path)), ["0.tar", "1.tar"])
    assert ids == {"toy:0/b", "toy:0/sub/a", "toy:1/c"}


@pytest.mark.parametrize(
    ("texts", "caption"),
    [
        ([("a.txt", b"words"), ("a.json", b'{"caption": "other"}')], "words"),
        ([("a.txt", b" \n"), ("a.json", b'{"caption": "other"}')], "other"),
        ([("a.txt", "<PERSON> é".encode())], "person é"),
        ([("a.txt", b"\xff words")], "\ufffd words"),
        ([("a.json", json.dumps({"caption": 3}).encode())], None),
        ([("a.json", b"[" * 100_000)], None),
        ([("a.json", b"[]")], None),
        ([], None),
    ],
)
def test_captions(tmp_path, texts, caption):
    write_tar(tmp_path / "0.tar", ("a.jpg", jpeg(1)), *texts)
    records, counts = read(tmp_path, "0.tar")
    assert [record.caption for record in records] == ([caption] if caption else [])
    assert counts == ({} if caption else {"toy: caption: empty caption": 1})


def test_each_fault_has_a_reason(tmp_path):
    write_tar(
        tmp_path / "0.tar",
        ("a.txt", b"no picture"),
        ("b.jpg", b"broken"),
        ("b.txt", b"words"),
        ("c.jpg", None),
        ("c.txt", b"a link, not a picture"),
        ("d.txt", b"first"),
        ("d.TXT", b"second"),
        ("d.jpg", jpeg(1)),
    )
    records, counts = read(tmp_path, "0.tar")
    assert [record.caption for record in records] == ["first"]
    assert counts == {
        "toy: record: missing image file": 2,
        "toy: record: unreadable image": 1,
        "toy: caption: duplicate key": 1,
    }


@pytest.mark.parametrize("keep", [0, 100, 600, 1500])
def test_a_truncated_tar_is_named(tmp_path, keep):
    write_tar(tmp_path / "0.tar", ("a.jpg", jpeg(1)), ("a.txt", b"words"))
    content = (tmp_path / "0.tar").read_bytes()
    (tmp_path / "0.tar").write_bytes(content[:keep])
    with pytest.raises(ValueError, match=r"0\.tar is truncated or corrupt"):
        read(tmp_path, "0.tar")
