"""One way to local paths and object store URIs, and what may be written where."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from omnidet import s3_client, storage
from omnidet.data import shards
from omnidet.data.vocabulary import Vocabulary
from omnidet.steps import train_detector
from tests import toy_runs, toys


def test_list_is_sorted_and_relative(tmp_path):
    for name in ("b.tar", "a/z", "a/b/c", "a.json"):
        storage.write_text(tmp_path / name, name)
    (tmp_path / "empty").mkdir()
    assert (
        storage.list_files(tmp_path)
        == storage.list_files(f"{tmp_path}/")
        == ["a.json", "a/b/c", "a/z", "b.tar"]
    )
    assert storage.list_files(tmp_path / "missing") == []


@pytest.mark.parametrize(
    ("offset", "length", "content"),
    [
        (0, None, b"0123456789"),
        (4, None, b"456789"),
        (0, 3, b"012"),
        (7, 2, b"78"),
        (8, 100, b"89"),
        (10, 5, b""),
        (3, 0, b""),
    ],
)
def test_read_a_range(tmp_path, offset, length, content):
    storage.write_bytes(tmp_path / "file", b"0123456789")
    assert storage.read_bytes(str(tmp_path / "file"), offset, length) == content


def test_a_pipe_is_read():
    """What a shell gives for `--phrases-file <(...)`."""
    end, begin = os.pipe()
    os.write(begin, b"hammer")
    os.close(begin)
    try:
        assert storage.read_text(f"/dev/fd/{end}") == "hammer"
    finally:
        os.close(end)


def test_text_is_utf8(tmp_path):
    storage.write_text(tmp_path / "file", "ärger 红色\n")
    assert storage.read_bytes(tmp_path / "file") == "ärger 红色\n".encode()
    assert storage.read_text(tmp_path / "file") == "ärger 红色\n"


def test_local_copy_of_a_local_path_is_itself(tmp_path):
    storage.write_text(tmp_path / "file", "x")
    assert storage.local_copy(tmp_path / "file", tmp_path / "cache") == tmp_path / "file"
    assert storage.local_copy(tmp_path, tmp_path / "cache") == tmp_path
    assert not (tmp_path / "cache").exists()


def test_missing_is_named(tmp_path):
    for read in (
        storage.read_bytes,
        storage.read_text,
        lambda path: storage.local_copy(path, tmp_path / "cache"),
    ):
        with pytest.raises(FileNotFoundError, match=str(tmp_path / "nothing")):
            read(tmp_path / "nothing")
    assert not storage.exists(tmp_path / "nothing")
    assert storage.exists(tmp_path)


def test_join():
    assert storage.join("s3://bucket/a/", "b", "c.tar") == "s3://bucket/a/b/c.tar"
    assert storage.join("/data", "b") == "/data/b"
    assert storage.join("s3://bucket/a/") == "s3://bucket/a/"
    assert storage.is_s3("s3://bucket/a")
    assert not storage.is_s3("/s3/bucket")


def test_object_store_uri_without_a_bucket_is_refused():
    with pytest.raises(ValueError, match=r"'s3:///key' names no bucket"):
        storage.read_bytes("s3:///key")


def test_wrong_endpoint_is_named(monkeypatch):
    s3_client.forget()
    monkeypatch.delenv("AWS_ENDPOINT_URL_S3", raising=False)
    monkeypatch.setenv("AWS_ENDPOINT_URL", "localhost:9000")
    try:
        with pytest.raises(ValueError, match=r"AWS_ENDPOINT_URL='localhost:9000'"):
            storage.exists("s3://bucket/key")
    finally:
        s3_client.forget()


@pytest.mark.parametrize("held", ["thesis.txt", "sub/thesis.txt"])
def test_a_step_replaces_its_own_output_and_nothing_else(tmp_path, held):
    target = tmp_path / "out"
    storage.require_replaceable(target, "config.json")
    target.mkdir()
    storage.require_replaceable(target, "config.json")
    storage.write_text(target / held, "years of work")
    with pytest.raises(ValueError, match=r"thesis\.txt"):
        storage.require_replaceable(target, "config.json")
    storage.write_text(target / "config.json", "{}")
    storage.require_replaceable(target, "config.json")
    with pytest.raises(ValueError, match="out is also an input"):
        storage.require_replaceable(tmp_path / "sub" / ".." / "out", "config.json", target)
    with pytest.raises(ValueError, match="is a file"):
        storage.require_replaceable(target / held / "below", "config.json")


def test_a_folder_that_holds_an_input_is_not_replaced(tmp_path):
    """A marker is not enough: runs and versions hold files of the same names."""
    run = tmp_path / "run"
    for name in ("metrics.json", "model/config.json"):
        storage.write_text(run / name, "{}")
    with pytest.raises(ValueError, match=r"run holds .*run/model, which is an input"):
        storage.require_replaceable(run, "metrics.json", run / "model")
    storage.require_replaceable(run, "metrics.json", tmp_path / "model")


@pytest.mark.parametrize("held", ["main.py", "sub/b.json", ".git/config", "sub2/x"])
def test_a_folder_with_what_no_step_writes_is_not_replaced(tmp_path, held):
    written = ("*.json", "parts/")
    for name in ("a.json", "b.json", "parts/deep/x", ".DS_Store"):
        storage.write_text(tmp_path / "out" / name, "{}")
    storage.require_replaceable(tmp_path / "out", "a.json", written=written)
    storage.write_text(tmp_path / "out" / held, "years of work")
    with pytest.raises(ValueError, match=f"such as {re.escape(held)}"):
        storage.require_replaceable(tmp_path / "out", "a.json", written=written)


@pytest.mark.s3
def test_shards_and_vocabulary_from_the_object_store_equal_local_ones(s3, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with storage.staged_directory(f"{s3.uri}/shards") as stage:
        toys.write_shards(stage)
    local, remote = toys.write_shards(tmp_path / "shards"), shards.read_index(f"{s3.uri}/shards")
    assert remote.dataset_version == local.dataset_version
    assert dict(remote.sets) == dict(local.sets)
    for name in local.sets:
        ours, theirs = list(shards.records(local, name)), list(shards.records(remote, name))
        assert len(ours) == len(theirs) > 0
        for one, other in zip(ours, theirs, strict=True):
            assert (one.image, one.image_id, one.phrases, one.caption) == (
                other.image,
                other.image_id,
                other.phrases,
                other.caption,
            )
            assert one.boxes_xyxy.tolist() == other.boxes_xyxy.tolist()
    recipe = toy_runs.recipe()
    built = train_detector.build_vocabulary(
        str(tmp_path / "shards"), str(tmp_path / "vocabulary"), recipe
    )
    train_detector.build_vocabulary(f"{s3.uri}/shards", f"{s3.uri}/vocabulary", recipe)
    loaded = Vocabulary.load(storage.local_copy(f"{s3.uri}/vocabulary", tmp_path / "cache"))
    assert loaded.content_hash == built.content_hash
    assert (
        json.loads(storage.read_text(f"{s3.uri}/vocabulary/vocabulary.json"))["content_hash"]
        == built.content_hash
    )


def test_an_absolute_part_replaces_what_is_before_it():
    assert storage.join("a", "/b", "c") == "/b/c"
    assert storage.join("/a", "s3://b/c") == "s3://b/c"


def test_sha256(tmp_path):
    (tmp_path / "a").write_bytes(b"hello")
    assert storage.sha256(tmp_path / "a") == hashlib.sha256(b"hello").hexdigest()


def test_files_and_folders_of_a_folder(tmp_path):
    for name in ("a/b/file", ".hidden/file", "c/file", "d"):
        storage.write_text(tmp_path / name, "x")
    (tmp_path / "empty").mkdir()
    assert storage.list_folders(tmp_path) == ["a", "c", "empty"]
    assert storage.list_folders(tmp_path / "none") == []
    assert storage.has_files(tmp_path / "a")
    assert not storage.has_files(tmp_path / "empty")
    assert not storage.has_files(tmp_path / "none")
    assert storage.size(tmp_path / "d") == 1
    assert storage.size(tmp_path / "a") is storage.size(tmp_path / "none") is None
    storage.remove(tmp_path / "a")
    storage.remove(tmp_path / "d")
    storage.remove(tmp_path / "none")
    assert storage.list_files(tmp_path) == [".hidden/file", "c/file"]


def test_only_one_call_writes_a_file_that_is_absent(tmp_path):
    assert storage.write_bytes_if_absent(tmp_path / "a", b"first")
    assert not storage.write_bytes_if_absent(tmp_path / "a", b"second")
    assert storage.read_bytes(tmp_path / "a") == b"first"
    assert storage.list_files(tmp_path) == ["a"]


@pytest.mark.parametrize(
    ("location", "inputs", "problem"),
    [
        ("new/file", ("old",), None),
        ("old", (None, "other"), None),
        ("old", ("sub/../old",), "old is also an input"),
        ("folder", (), "folder is a folder"),
        ("old/file", (), "old is a file"),
    ],
)
def test_where_a_file_may_be_written(tmp_path, location, inputs, problem):
    storage.write_text(tmp_path / "old", "x")
    (tmp_path / "folder").mkdir()
    read = [name and tmp_path / name for name in inputs]
    if problem is None:
        storage.require_file_target(tmp_path / location, *read)
    else:
        with pytest.raises(ValueError, match=problem):
            storage.require_file_target(tmp_path / location, *read)


def test_an_object_may_not_replace_an_input():
    storage.require_file_target("s3://b/new", "s3://b/old", "local")
    with pytest.raises(ValueError, match="s3://b/old is also an input"):
        storage.require_file_target("s3://b/old", "s3://b/old")


@pytest.mark.parametrize(
    ("location", "other", "is_inside"),
    [
        ("a/b", "a", True),
        ("a", "a", True),
        ("ab", "a", False),
        ("a/../c", "a", False),
        ("s3://b/a/c", "s3://b/a/", True),
        ("s3://b/ab", "s3://b/a", False),
    ],
)
def test_a_folder_outside_another(location, other, is_inside):
    if is_inside:
        with pytest.raises(ValueError, match=f"{location} is {other}"):
            storage.require_outside(location, other)
    else:
        storage.require_outside(location, other)


def test_a_folder_that_cannot_be_created_is_named_before_the_work(tmp_path):
    storage.require_writable(tmp_path / "new" / "out")
    assert (tmp_path / "new").is_dir()
    storage.require_writable("s3://bucket/anything")
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match=r"file/out .*: correct the permissions"):
        storage.require_writable(tmp_path / "file" / "out")


@pytest.mark.parametrize(
    ("number", "kind"),
    [(errno.EROFS, PermissionError), (errno.EACCES, PermissionError), (errno.ENOSPC, OSError)],
)
def test_a_place_that_is_wrong_is_told_from_a_disk_that_is_full(
    tmp_path, monkeypatch, number, kind
):
    def fail(**_):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(tempfile, "TemporaryFile", fail)
    with pytest.raises(OSError, match=os.strerror(number)) as refused:
        storage.require_writable(tmp_path / "out")
    assert type(refused.value) is kind


def test_local_paths_do_not_load_the_object_store():
    code = (
        "import sys\nfrom omnidet import storage\n"
        "storage.exists('.')\nstorage.list_folders('.')\n"
        "sys.exit(bool({'minio', 'omnidet.object_store'} & sys.modules.keys()))\n"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize("change", ["mkdir", "rmdir"])
@pytest.mark.parametrize("moment", range(3))
def test_a_folder_that_comes_or_goes_meanwhile_is_no_file(tmp_path, monkeypatch, change, moment):
    place, moments = tmp_path / "out", iter(range(9))
    if change == "rmdir":
        place.mkdir()

    def late(question):
        ask = getattr(Path, question)

        def asked(path, **given):
            answer = ask(path, **given)
            if path == place and next(moments, None) == moment:
                getattr(os, change)(place)
            return answer

        monkeypatch.setattr(Path, question, asked)

    late("exists")
    late("is_dir")
    assert not storage.is_other_than_folder(place)
    storage.require_replaceable(place, "index.json")
    storage.require_file_target(place / "a.json")
    monkeypatch.undo()
    (tmp_path / "file").touch()
    assert storage.is_other_than_folder(tmp_path / "file")
    (tmp_path / "loop").symlink_to("loop")
    assert storage.is_other_than_folder(tmp_path / "loop")
    assert not storage.is_other_than_folder(tmp_path / "file" / "below")
