"""One shard: what its rows give, the bytes of its tar, and a full disk."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile

import pytest

from omnidet.data.reading.url_lists import UrlRow
from omnidet.data.web_images import shard
from omnidet.data.web_images.checks import Taste
from omnidet.data.web_images.fetcher import Manners
from tests.data import hostile_server as hostile
from tests.data.web_images.pictures import picture

MANNERS = Manners(wait_seconds=0.001, allow_private=True, tries=1)


@pytest.fixture
def site():
    with hostile.hostile_server() as made:
        made.files = {"a": picture(0), "b": picture(1), "page": b"<html>"}
        yield made


def task(site, spool, *rows) -> shard.Task:
    urls = (UrlRow(i, site.url(name), *more) for i, (name, *more) in enumerate(rows))
    return shard.Task(0, tuple(urls), str(spool), MANNERS, Taste())


def test_pictures_are_spooled_and_the_other_rows_have_a_reason(site, tmp_path):
    rows = (("b", "two"), ("page", "x"), ("a", "one"), ("none", "x"))
    harvest = shard.harvest(task(site, tmp_path / "spool", *rows))
    assert [found.row.caption for found in harvest.found] == ["two", "one"]
    assert [(row.number, reason) for row, reason in harvest.refused] == [
        (1, "a web page, not a picture"),
        (3, "HTTP 404"),
    ]
    spool = (tmp_path / "spool").read_bytes()
    for found, name in zip(harvest.found, "ba", strict=True):
        assert spool[found.offset :][: found.size_bytes] == site.files[name]
        assert found.sha256 == hashlib.sha256(site.files[name]).hexdigest()


@pytest.mark.parametrize(
    ("digest", "is_kept"),
    [
        (hashlib.md5(picture(0), usedforsecurity=False).hexdigest(), True),
        (hashlib.sha256(picture(0)).hexdigest(), True),
        (hashlib.sha256(b"another").hexdigest(), False),
        ("abc", False),
        ("", True),
    ],
)
def test_a_picture_must_have_the_hash_of_the_list(site, tmp_path, digest, is_kept):
    harvest = shard.harvest(task(site, tmp_path / "spool", ("a", "one", digest)))
    assert len(harvest.found) == is_kept
    assert shard.reasons(harvest.refused) == (
        {} if is_kept else {"content differs from the list's hash": 1}
    )


def test_the_same_pictures_give_the_same_tar(site, tmp_path):
    sums = set()
    for name in ("one", "two"):
        spool = tmp_path / f"{name}.spool"
        harvest = shard.harvest(task(site, spool, ("a", "é"), ("b", "two")))
        sums.add(shard.write_tar(str(spool), harvest.found, str(tmp_path / f"{name}.tar")))
    content = (tmp_path / "one.tar").read_bytes()
    assert sums == {hashlib.sha256(content).hexdigest()}
    with tarfile.open(fileobj=io.BytesIO(content)) as tar:
        assert tar.getnames() == [
            f"000000000{i}.{end}" for i in "01" for end in ("jpg", "json", "txt")
        ]
        assert tar.extractfile("0000000000.jpg").read() == site.files["a"]
        assert tar.extractfile("0000000000.txt").read().decode() == "é"
        about = json.loads(tar.extractfile("0000000001.json").read())
    assert (about["url"], about["width"], about["height"]) == (site.url("b"), 64, 64)


def test_a_full_disk_is_named_in_one_line(site, tmp_path):
    with pytest.raises(OSError, match=r"/dev/full .*No space left on device"):
        shard.harvest(task(site, "/dev/full", ("a", "words")))
    work = task(site, tmp_path / "spool", ("a", "words"))
    with pytest.raises(OSError, match=r"/dev/full .*No space left on device"):
        shard.write_tar(work.spool, shard.harvest(work).found, "/dev/full")
