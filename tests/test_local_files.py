"""Local files: complete or not there, whatever kills the writer; and locks."""

from __future__ import annotations

import errno
import fcntl
import os
import signal
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
from omnidet import local_folders, storage

def die(*args, **kwargs):
    os.kill(os.getpid(), {int(signal.SIGKILL)})

target = sys.argv[2]
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


def test_listing_bears_what_vanishes_and_never_looks_into_stages(tmp_path, monkeypatch):
    (tmp_path / "model" / "1").mkdir(parents=True)
    (tmp_path / "model" / "1" / "a").touch()
    (tmp_path / "model" / "2").mkdir()
    with storage.staged_directory(tmp_path / "model" / "3") as stage:
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
        storage.staged_directory(target), content, inner="b"
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


def test_without_hard_links_exactly_one_still_writes(tmp_path, monkeypatch):
    def refuse(*_):
        raise PermissionError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "link", refuse)
    place = str(tmp_path / "claim")
    assert local_files.write_bytes_if_absent(place, b"first") is True
    assert local_files.write_bytes_if_absent(place, b"second") is False
    assert [path.read_bytes() for path in tmp_path.iterdir()] == [b"first"]


def test_without_hard_links_a_full_disk_leaves_nothing_and_is_named(tmp_path, monkeypatch):
    def refuse(*_):
        raise PermissionError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "link", refuse)
    temporary = local_files._write_temporary
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.setattr(
        local_files,
        "_write_temporary",
        lambda target, content: temporary(tmp_path / "elsewhere" / target.name, content[:10]),
    )
    place = tmp_path / "a.png"
    with (
        full_disk.room_for(1000),
        pytest.raises(OSError, match=r"a\.png cannot be written .*make room"),
    ):
        local_files.write_bytes_if_absent(str(place), bytes(2000))
    assert not place.exists()


def test_a_file_system_that_is_only_read_is_named_by_what_was_to_be_written(tmp_path):
    with (
        pytest.raises(PermissionError, match=r"out cannot be written \(Read-only.*another place"),
        local_files.naming("out"),
    ):
        raise OSError(errno.EROFS, os.strerror(errno.EROFS), ".out.stage-1")


def test_what_is_being_written_is_not_there_yet(tmp_path, monkeypatch):
    """Another process that begins in the same folder would refuse it for the files of others."""
    seen = []

    def sync(_):
        seen.append(storage.list_files(tmp_path))
        storage.require_replaceable(tmp_path, "plan.json")

    monkeypatch.setattr(os, "fsync", sync)
    storage.write_text(tmp_path / "plan.json", "{}")
    assert storage.write_bytes_if_absent(tmp_path / "fetch.json", b"{}")
    assert seen == [[], ["plan.json"]]


def test_a_folder_that_vanishes_lists_nothing(tmp_path, monkeypatch):
    def gone(path):
        raise FileNotFoundError(path)

    with monkeypatch.context() as patch:  # it was there a moment ago
        patch.setattr(Path, "iterdir", gone)
        assert storage.list_folders(tmp_path) == []
    (tmp_path / "file").touch()
    for name in ("none", "file"):
        assert storage.list_folders(tmp_path / name) == []


def test_a_lock_that_its_holder_removes_holds_no_longer(tmp_path, monkeypatch):
    """Whoever opened it before would hold a file that nobody else finds."""
    lock, flock, times = tmp_path / "run.lock", fcntl.flock, iter(range(9))

    def late(descriptor, how):
        if next(times) == 0:
            lock.unlink()
        flock(descriptor, how)

    monkeypatch.setattr(fcntl, "flock", late)
    with (
        storage.locked(lock, "busy"),
        pytest.raises(ValueError, match=r"^busy$"),
        storage.locked(lock, "busy"),
    ):
        pass
    assert next(times) == 3


def test_a_lock_is_made_where_its_folder_was_just_removed(tmp_path, monkeypatch):
    lock, opened, times = tmp_path / "parts" / "lock", os.open, iter(range(9))

    def late(*given):
        if next(times) == 0:
            lock.parent.rmdir()
        return opened(*given)

    monkeypatch.setattr(os, "open", late)
    with storage.locked(lock, "busy"):
        assert lock.exists()
