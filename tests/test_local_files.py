"""Local files and folders: complete or not there, whatever kills the writer."""

from __future__ import annotations

import errno
import fcntl
import os
import signal
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from omnidet import local_files, storage
from tests import full_disk

KILLED = f"""
import os, signal, sys
from pathlib import Path
from omnidet import storage

def die(*args, **kwargs):
    os.kill(os.getpid(), {int(signal.SIGKILL)})

target = sys.argv[2]
"""
IN_STAGE = """
with storage.staged_directory(target) as stage:
    (stage / "a.tar").write_bytes(b"half")
    storage.write_bytes(stage / "index.json", b"{}")
    die()
"""
BEFORE_MOVE = """
Path.rename = die
with storage.staged_directory(target) as stage:
    (stage / "a.tar").write_bytes(b"half")
"""
BETWEEN_MOVES = """
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
IN_WRITE = """
os.fsync = die
storage.write_bytes(target, b"x" * 1_000_000)
"""
BEFORE_REPLACE = """
Path.replace = die
storage.write_bytes(target, b"x" * 1_000_000)
"""


def killed(script, target):
    done = subprocess.run(
        [sys.executable, "-c", KILLED + script, "-", str(target)], capture_output=True, text=True
    )
    assert done.returncode == -signal.SIGKILL, done.stderr


def entries(folder):
    return sorted(path.name for path in folder.iterdir())


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


@pytest.mark.parametrize(
    "script", [IN_WRITE, BEFORE_REPLACE], ids=["before it is on disk", "before the move"]
)
@pytest.mark.parametrize("there_before", [False, True])
def test_a_killed_write_leaves_no_part(tmp_path, script, there_before):
    target = tmp_path / "folder" / "file.json"
    if there_before:
        storage.write_bytes(target, b"old")
    killed(script, target)
    assert storage.exists(target) == there_before
    if there_before:
        assert storage.read_bytes(target) == b"old"
    assert all(
        name.startswith(".file.json.")
        for name in entries(tmp_path / "folder")
        if name != "file.json"
    )
    storage.write_bytes(target, b"new")
    assert storage.read_bytes(target) == b"new"


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


def test_a_failed_write_leaves_nothing(tmp_path, monkeypatch):
    def full(_):
        raise OSError(28, "No space left on device")

    storage.write_bytes(tmp_path / "file", b"old")
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        storage.write_bytes(tmp_path / "file", b"new")
    assert entries(tmp_path) == ["file"]
    assert storage.read_bytes(tmp_path / "file") == b"old"


def test_a_reader_never_sees_a_part(tmp_path):
    """A reader that never pauses, while a writer alternates between contents of two lengths."""
    target, contents, seen, is_done = (
        tmp_path / "file",
        (b"a" * 300_000, b"b" * 700_000),
        set(),
        threading.Event(),
    )
    storage.write_bytes(target, contents[0])

    def read():
        while not is_done.is_set():
            seen.add(storage.read_bytes(target))

    reader = threading.Thread(target=read)
    reader.start()
    try:
        for i in range(60):
            storage.write_bytes(target, contents[i % 2])
    finally:
        is_done.set()
        reader.join()
    assert seen <= set(contents)
    assert seen


def test_published_files_have_the_mode_of_any_new_file(tmp_path):
    (tmp_path / "plain").touch()
    storage.write_text(tmp_path / "written", "x")
    assert (tmp_path / "written").stat().st_mode == (tmp_path / "plain").stat().st_mode


def test_published_folders_can_be_read_by_others(tmp_path):
    with storage.staged_directory(tmp_path / "out") as stage:
        (stage / "sub").mkdir()
        (stage / "sub" / "weights").write_bytes(b"x")
        (stage / "sub" / "weights").chmod(0o600)
    assert (tmp_path / "out" / "sub" / "weights").stat().st_mode & 0o044 == 0o044


def test_one_process_holds_a_lock_at_a_time(tmp_path, monkeypatch):
    with storage.locked(tmp_path / "lock", "busy"):
        with pytest.raises(ValueError, match=r"^busy$"), storage.locked(tmp_path / "lock", "busy"):
            pass

        def flock(*_):
            raise OSError(errno.ENOLCK, "No locks available")

        monkeypatch.setattr(fcntl, "flock", flock)
        with storage.locked(tmp_path / "lock", "busy"):  # a network file system without locks
            pass
    monkeypatch.undo()
    with storage.locked(tmp_path / "lock", "busy"):  # it is free again
        pass


def test_a_lock_is_released_when_its_process_is_killed_even_if_a_forked_one_lives_on(tmp_path):
    # The forked process reports that it runs: before that, it holds what its parent held.
    code = (
        "import multiprocessing, os, sys, time\n"
        "from pathlib import Path\n"
        "from omnidet import storage\n"
        "def work():\n    print(os.getpid(), flush=True)\n    time.sleep(60)\n"
        "with storage.locked(Path(sys.argv[1]), 'busy'):\n"
        "    multiprocessing.get_context('fork').Process(target=work).start()\n    time.sleep(60)\n"
    )
    lock = tmp_path / "lock"
    with subprocess.Popen(
        [sys.executable, "-c", code, str(lock)], stdout=subprocess.PIPE, text=True
    ) as process:
        child = int(process.stdout.readline())
        try:
            with pytest.raises(ValueError, match="busy"), storage.locked(lock, "busy"):
                pass
            process.kill()
            process.wait()
            os.kill(child, 0)  # it is alive
            with storage.locked(lock, "busy"):
                pass
        finally:
            os.kill(child, signal.SIGKILL)


@pytest.mark.parametrize("mask", [0o077, 0o022, 0o027])
def test_the_mask_holds_for_folders_too(tmp_path, mask):
    before = os.umask(mask)
    try:
        with local_files.staged_directory(tmp_path / "out") as stage:
            (stage / "inner").mkdir()
            (stage / "inner" / "file").write_text("x")
    finally:
        os.umask(before)
    found = [tmp_path / "out" / name for name in ("", "inner", "inner/file")]
    modes = [path.stat().st_mode & 0o777 for path in found]
    assert modes == [0o777 & ~mask, 0o777 & ~mask, 0o666 & ~mask]


def test_listing_bears_what_vanishes_and_never_looks_into_stages(tmp_path, monkeypatch):
    (tmp_path / "model" / "1").mkdir(parents=True)
    (tmp_path / "model" / "1" / "a").touch()
    (tmp_path / "model" / "2").mkdir()
    with local_files.staged_directory(tmp_path / "model" / "3") as stage:
        (stage / "b").touch()
        scan = os.scandir

        def vanishing(folder):
            if str(folder).endswith("2"):
                Path(folder).rmdir()
            return scan(folder)

        monkeypatch.setattr(os, "scandir", vanishing)
        assert local_files.list_files(str(tmp_path)) == ["model/1/a"]
        monkeypatch.undo()
    assert local_files.list_files(str(tmp_path)) == ["model/1/a", "model/3/b"]


def test_a_file_takes_its_place_when_it_is_whole(tmp_path):
    target = tmp_path / "new" / "a.PNG"
    for content in ("one", "two"):
        with local_files.written_whole(target) as temporary:
            assert temporary.suffix == ".PNG"  # writers choose the format by it
            temporary.write_text(content)
        assert target.read_text() == content
    with pytest.raises(TypeError), local_files.written_whole(target) as temporary:
        temporary.write_text(3)
    assert target.read_text() == "two"
    assert list(target.parent.iterdir()) == [target]


LONG = ["a" * 251 + ".png", "\N{SNOWMAN}" * 83 + ".png", "a." + "b" * 253]


@pytest.mark.parametrize("name", LONG, ids=["ASCII", "3 bytes each", "ending"])
def test_the_longest_names_can_be_written_too(tmp_path, name):
    with local_files.written_whole(tmp_path / name) as temporary:
        temporary.write_text("x")
    local_files.write_bytes(str(tmp_path / name), b"y")
    assert (tmp_path / name).read_text() == "y"


WRITERS = {
    "bytes": lambda target, content: local_files.write_bytes(str(target), content),
    "bytes if absent": lambda target, content: local_files.write_bytes_if_absent(
        str(target), content
    ),
    "a file": lambda target, content: _write(local_files.written_whole(target), content),
    "a folder": lambda target, content: _write(
        local_files.staged_directory(target), content, inner="b"
    ),
}


def _write(place, content, inner=""):
    with place as path:
        (path / inner).write_bytes(content)


@pytest.mark.parametrize("kind", WRITERS)
def test_a_full_disk_leaves_nothing_and_is_named(tmp_path, kind):
    target = tmp_path / "a.bin"
    with full_disk.room_for(1000):
        WRITERS[kind](tmp_path / "other", bytes(1000))
        with pytest.raises(OSError, match=r"a\.bin cannot be written .*make room") as caught:
            WRITERS[kind](target, bytes(1001))
    assert str(target) in str(caught.value)
    assert [path.name for path in tmp_path.iterdir()] == ["other"]


def test_the_mode_of_a_file_that_also_stands_elsewhere_is_left_alone(tmp_path):
    """Pictures are linked into folders that are made of them."""
    (tmp_path / "mine.jpg").touch(mode=0o600)
    with local_files.staged_directory(tmp_path / "out") as stage:
        os.link(tmp_path / "mine.jpg", stage / "1.jpg")
    assert (tmp_path / "mine.jpg").stat().st_mode & 0o777 == 0o600


def test_without_hard_links_exactly_one_still_writes(tmp_path, monkeypatch):
    def refuse(*_):
        raise PermissionError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "link", refuse)
    place = str(tmp_path / "claim")
    assert local_files.write_bytes_if_absent(place, b"first") is True
    assert local_files.write_bytes_if_absent(place, b"second") is False
    assert [path.read_bytes() for path in tmp_path.iterdir()] == [b"first"]


def test_a_file_system_that_is_only_read_is_named_by_what_was_to_be_written(tmp_path):
    with (
        pytest.raises(PermissionError, match=r"out cannot be written \(Read-only.*another place"),
        local_files.naming("out"),
    ):
        raise OSError(errno.EROFS, os.strerror(errno.EROFS), ".out.stage-1")
