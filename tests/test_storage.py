"""Local files: whole or not at all, whatever kills the writer. The object store has tests of its own."""

from __future__ import annotations

import errno
import fcntl
import os
import signal
import stat
import subprocess
import sys
import threading

import pytest

from omnidet import s3_client, storage

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
def test_killed_stage_leaves_no_target_and_the_next_run_clears_up(tmp_path, script, there_before):
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


def test_killed_between_the_two_moves_the_old_folder_is_not_lost(tmp_path):
    target = tmp_path / "shards"
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
    assert entries(tmp_path) == ["shards"]


def test_killed_after_the_moves_the_new_folder_stands(tmp_path):
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
def test_killed_write_leaves_no_part(tmp_path, script, there_before):
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


def test_failed_block_leaves_the_old_folder(tmp_path):
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


def test_new_folder_replaces_the_old_one_whole(tmp_path):
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


def test_failed_write_leaves_nothing(tmp_path, monkeypatch):
    def full(_):
        raise OSError(28, "No space left on device")

    storage.write_bytes(tmp_path / "file", b"old")
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        storage.write_bytes(tmp_path / "file", b"new")
    assert entries(tmp_path) == ["file"]
    assert storage.read_bytes(tmp_path / "file") == b"old"


def test_reader_never_sees_a_part(tmp_path):
    """A reader that is as quick as it can be, beside a writer of two contents that differ in length."""
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


def test_what_is_published_can_be_read_by_others(tmp_path):
    with storage.staged_directory(tmp_path / "out") as stage:
        (stage / "sub").mkdir()
        (stage / "sub" / "weights").write_bytes(b"x")
        (stage / "sub" / "weights").chmod(0o600)
    assert (tmp_path / "out" / "sub" / "weights").stat().st_mode & 0o044 == 0o044


def test_one_holds_a_lock_at_a_time_where_there_are_locks(tmp_path, monkeypatch):
    with storage.locked(tmp_path / "lock", "busy"):
        with pytest.raises(ValueError, match=r"^busy$"), storage.locked(tmp_path / "lock", "busy"):
            pass

        def flock(*_):
            raise OSError(errno.ENOLCK, "No locks available")

        monkeypatch.setattr(fcntl, "flock", flock)
        with storage.locked(tmp_path / "lock", "busy"):  # a network file system without them
            pass
    monkeypatch.undo()
    with storage.locked(tmp_path / "lock", "busy"):  # it is free again
        pass


def test_a_lock_is_free_when_its_process_is_killed_though_a_forked_one_lives_on(tmp_path):
    code = (  # the forked process says that it runs: until the system let it begin, it holds what its parent held
        "import multiprocessing, os, sys, time\nfrom pathlib import Path\nfrom omnidet import storage\n"
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
            os.kill(child, 0)  # it lives
            with storage.locked(lock, "busy"):
                pass
        finally:
            os.kill(child, signal.SIGKILL)
