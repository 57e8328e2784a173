"""Local folders: whole or not there, whatever kills the writer and whoever else writes."""

from __future__ import annotations

import fcntl
import os
import shutil
import stat
import tempfile
import threading
from pathlib import Path

import pytest

from omnidet import local_folders, storage
from tests.test_local_files import entries, killed

IN_STAGE = """
with storage.staged_directory(target) as stage:
    (stage / "a.tar").write_bytes(b"half")
    storage.write_bytes(stage / "index.json", b"{}")
    die()
"""
BEFORE_MOVE = """
Path.rename = local_folders._exchanged = die
with storage.staged_directory(target) as stage:
    (stage / "a.tar").write_bytes(b"half")
"""
BETWEEN_MOVES = """
local_folders._exchanged = lambda *_: False  # as on file systems that cannot
real, moves = Path.rename, []
def rename(self, to):
    moves.append(to)
    return real(self, to) if len(moves) == 1 else die()
Path.rename = rename
with storage.staged_directory(target) as stage:
    (stage / "half").write_bytes(b"half")
"""
AFTER_MOVES = """
import shutil
with storage.staged_directory(target) as stage:
    (stage / "new").write_bytes(b"new")
    shutil.rmtree = die
"""


@pytest.mark.parametrize("script", [IN_STAGE, BEFORE_MOVE], ids=["in the block", "before the move"])
@pytest.mark.parametrize("there_before", [False, True])
def test_a_killed_stage_leaves_no_target_and_the_next_run_cleans_up(tmp_path, script, there_before):
    target = tmp_path / "shards"
    if there_before:
        target.mkdir()
        (target / "old").write_bytes(b"old")
    killed(script, target)
    assert target.exists() == there_before
    if there_before:
        assert storage.list_files(target) == ["old"]
    left = [p.name for p in tmp_path.iterdir() if p != target]
    assert left
    assert all(name.startswith(".shards.stage-") for name in left)
    with storage.staged_directory(target) as stage:
        assert list(stage.iterdir()) == []
        (stage / "new").write_bytes(b"new")
    assert entries(tmp_path) == ["shards"]
    assert storage.list_files(target) == ["new"]


@pytest.mark.parametrize("name", ["shards", "shards [1]*"])
def test_killed_between_the_two_moves_the_old_folder_is_not_lost(tmp_path, name):
    target = tmp_path / name
    storage.write_bytes(target / "old", b"old")
    killed(BETWEEN_MOVES, target)
    assert not target.exists()

    def fail():
        with storage.staged_directory(target) as stage:
            assert entries(stage) == []
            raise RuntimeError("no")

    with pytest.raises(RuntimeError, match="no"):
        fail()
    assert storage.list_files(target) == ["old"]
    assert entries(tmp_path) == [name]


def test_of_two_that_write_one_folder_at_once_each_is_whole(tmp_path):
    target = tmp_path / "shards"
    with storage.staged_directory(target) as first:
        (first / "one").write_bytes(b"first")
        with storage.staged_directory(target) as second:  # as another process does
            for name in ("one", "two"):
                (second / name).write_bytes(b"second")
        assert storage.list_files(target) == ["one", "two"]
        (first / "two").write_bytes(b"first")
    assert [(target / name).read_bytes() for name in ("one", "two")] == [b"first"] * 2
    assert entries(tmp_path) == ["shards"]


def test_killed_after_the_moves_the_new_folder_is_in_place(tmp_path):
    target = tmp_path / "shards"
    storage.write_bytes(target / "old", b"old")
    killed(AFTER_MOVES, target)
    assert storage.list_files(target) == ["new"]
    with storage.staged_directory(target) as stage:
        (stage / "newer").touch()
    assert storage.list_files(target) == ["newer"]
    assert entries(tmp_path) == ["shards"]


def test_a_failed_block_leaves_the_old_folder(tmp_path):
    target = tmp_path / "out"
    with storage.staged_directory(target) as stage:
        (stage / "sub").mkdir()
        (stage / "sub/old").write_text("1")

    def fail():
        with storage.staged_directory(target) as stage:
            (stage / "new").write_text("2")
            raise RuntimeError("no")

    with pytest.raises(RuntimeError, match="no"):
        fail()
    assert entries(tmp_path) == ["out"]
    assert storage.list_files(target) == ["sub/old"]


def test_the_new_folder_replaces_the_old_one_completely(tmp_path):
    target = tmp_path / "parent" / "out"
    for name in ("first", "second"):
        with storage.staged_directory(target) as stage:
            (stage / name).write_text(name)
            assert not (target / name).exists()
    assert storage.list_files(target) == ["second"]
    assert entries(tmp_path / "parent") == ["out"]
    assert stat.S_IMODE(target.stat().st_mode) == 0o755


def test_a_stage_of_another_folder_is_left_alone(tmp_path):
    with storage.staged_directory(tmp_path / "one") as first:
        with storage.staged_directory(tmp_path / "two") as second:
            assert first.is_dir()
            (second / "b").touch()
        (first / "a").touch()
    assert storage.list_files(tmp_path) == ["one/a", "two/b"]


def test_published_folders_can_be_read_by_others(tmp_path):
    with storage.staged_directory(tmp_path / "out") as stage:
        (stage / "sub").mkdir()
        (stage / "sub" / "weights").write_bytes(b"x")
        (stage / "sub" / "weights").chmod(0o600)
    assert (tmp_path / "out" / "sub" / "weights").stat().st_mode & 0o044 == 0o044


@pytest.mark.parametrize("mask", [0o077, 0o022, 0o027])
def test_the_mask_holds_for_folders_too(tmp_path, mask):
    before = os.umask(mask)
    try:
        with storage.staged_directory(tmp_path / "out") as stage:
            (stage / "inner").mkdir()
            (stage / "inner" / "file").write_text("x")
    finally:
        os.umask(before)
    found = [tmp_path / "out" / name for name in ("", "inner", "inner/file")]
    modes = [path.stat().st_mode & 0o777 for path in found]
    assert modes == [0o777 & ~mask, 0o777 & ~mask, 0o666 & ~mask]


def test_the_mode_of_a_file_that_also_stands_elsewhere_is_left_alone(tmp_path):
    """Pictures are linked into folders that are made of them."""
    (tmp_path / "mine.jpg").touch(mode=0o600)
    with storage.staged_directory(tmp_path / "out") as stage:
        os.link(tmp_path / "mine.jpg", stage / "1.jpg")
    assert (tmp_path / "mine.jpg").stat().st_mode & 0o777 == 0o600


def test_a_reader_always_finds_the_old_folder_or_the_new_one(tmp_path):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
    if not local_folders._exchanged(tmp_path / "a", tmp_path / "b"):
        pytest.skip("this file system cannot exchange two folders")
    target, found, is_done = tmp_path / "model", set(), threading.Event()
    storage.write_text(target / "index.json", "{}")

    def look():
        while not is_done.is_set():
            found.add(storage.exists(target / "index.json"))

    reader = threading.Thread(target=look)
    reader.start()
    try:
        for _ in range(200):
            with storage.staged_directory(target) as stage:
                (stage / "index.json").write_text("{}")
    finally:
        is_done.set()
        reader.join()
    assert found == {True}


@pytest.mark.parametrize("moment", range(2))
def test_another_writer_between_the_two_moves(tmp_path, monkeypatch, moment):
    """Each is whole, the last one stays, and neither is told of a file that is not there."""
    target, rename, moments = tmp_path / "shards", Path.rename, iter(range(9))
    storage.write_text(target / "old", "old")
    monkeypatch.setattr(local_folders, "_exchanged", lambda *_: False)

    def late(folder, to):
        if next(moments, None) == moment:
            monkeypatch.setattr(Path, "rename", rename)
            with storage.staged_directory(target) as other:
                (other / "theirs").touch()
        return rename(folder, to)

    with storage.staged_directory(target) as stage:
        (stage / "ours").touch()
        monkeypatch.setattr(Path, "rename", late)
    assert storage.list_files(target) == ["ours"]
    assert entries(tmp_path) == ["shards"]


def test_a_stage_that_was_just_made_is_not_taken_for_that_of_a_killed_process(
    tmp_path, monkeypatch
):
    target, make = tmp_path / "shards", tempfile.mkdtemp

    def then_another_begins(**given):
        made = make(**given)
        monkeypatch.setattr(tempfile, "mkdtemp", make)
        with storage.staged_directory(target) as other:
            (other / "theirs").touch()
        return made

    monkeypatch.setattr(tempfile, "mkdtemp", then_another_begins)
    with storage.staged_directory(target) as stage:
        (stage / "ours").touch()
    assert storage.list_files(target) == ["ours"]
    assert entries(tmp_path) == ["shards"]


def test_a_stage_is_not_taken_while_it_is_looked_at(tmp_path, monkeypatch):
    """Whoever looks whether a process is at work there holds it until it is removed."""
    target, left, remove = tmp_path / "shards", tmp_path / ".shards.stage-left", shutil.rmtree
    left.mkdir()

    def late(folder, **given):
        with local_folders._in_use(left, fcntl.LOCK_SH | fcntl.LOCK_NB) as is_ours:
            assert not is_ours
        remove(folder, **given)

    monkeypatch.setattr(shutil, "rmtree", late)
    local_folders._clear_up(target)
    monkeypatch.undo()
    assert entries(tmp_path) == []


def test_what_another_process_removes_first_is_removed(tmp_path, monkeypatch):
    target, make = tmp_path / "parts", tempfile.mkdtemp
    storage.write_text(target / "0", "x")

    def late(**given):
        shutil.rmtree(target)
        return make(**given)

    monkeypatch.setattr(tempfile, "mkdtemp", late)
    storage.remove(target)
    assert entries(tmp_path) == []
