"""Folders on a real object store that is stopped, restarted and written to meanwhile."""

from __future__ import annotations

import io
import os
import signal
import threading
import time
from pathlib import Path

import pytest

from omnidet import object_folders, object_store, s3_client, storage
from omnidet.data import shards
from tests import scripts

pytestmark = pytest.mark.s3
NAMES = ["a.tar", "b/c.tar", "b/ärger 红色 +%20&=?#;.tar", "b/d/e.json"]
LARGE_BYTES = 30 << 20


def fill(stage: Path, names, content="") -> None:
    for name in names:
        storage.write_text(stage / name, f"{name} {content}")


@pytest.fixture
def fetched(monkeypatch) -> list[str]:
    """Keys in the order in which they are fetched."""
    keys, real = [], object_store.fetch

    def download(file, bucket, key, *more):
        keys.append(key)
        return real(file, bucket, key, *more)

    monkeypatch.setattr(object_store, "fetch", download)
    return keys


def test_remove(s3, tmp_path):
    for root in (s3.uri, str(tmp_path)):
        for name in ("a/index.json", "a/b/c", "ab", "d"):
            storage.write_text(f"{root}/{name}", name)
        storage.remove(f"{root}/a")
        assert storage.list_files(root) == ["ab", "d"]
        storage.remove(f"{root}/d")
        storage.remove(f"{root}/d")
        assert storage.list_files(root) == ["ab"]
    assert [path.name for path in tmp_path.iterdir()] == ["ab"]


def test_a_whole_bucket_is_neither_removed_nor_replaced(s3, tmp_path):
    storage.write_text(f"{s3.uri}/kept", "")
    with pytest.raises(ValueError, match=f"{s3.uri} names a bucket"):
        storage.remove(s3.uri)
    with (
        pytest.raises(ValueError, match=f"{s3.uri} is a whole bucket"),
        storage.staged_directory(s3.uri) as stage,
    ):
        fill(stage, ["a"])
    assert storage.list_files(s3.uri) == ["kept"]


@pytest.mark.slow
def test_more_names_than_fit_into_one_response(s3, tmp_path):
    names = [f"{i:04d}" for i in range(1200)]
    with storage.staged_directory(f"{s3.uri}/many") as stage:
        fill(stage, names)
    assert storage.list_files(f"{s3.uri}/many") == names
    copy = storage.local_copy(f"{s3.uri}/many", tmp_path)
    assert storage.list_files(copy) == names
    storage.remove(f"{s3.uri}/many")
    assert storage.list_files(s3.uri) == []


def test_unknown_bucket_is_named_before_any_work(s3, tmp_path):
    location, has_begun = "s3://no-such-bucket-here/a", False
    missing = pytest.raises(FileNotFoundError, match=r"'no-such-bucket-here' at http")
    with missing, storage.staged_directory(location):
        has_begun = True
    assert not has_begun
    for call in (storage.read_bytes, storage.list_files, lambda x: storage.write_bytes(x, b"x")):
        with pytest.raises(FileNotFoundError, match="no bucket 'no-such-bucket-here'"):
            call(location)


def test_the_index_is_written_last_and_strays_are_removed(s3, monkeypatch):
    location, put, order = f"{s3.uri}/run/shards", object_store.put_file, []
    storage.write_text(f"{s3.uri}/run/shards2/index.json", "another folder")
    with storage.staged_directory(location) as stage:
        fill(stage, ["index.json", "old.tar", "both.tar"], 1)

    def watched(bucket, key, path):
        order.append((path.name, storage.exists(f"{location}/index.json")))
        put(bucket, key, path)

    monkeypatch.setattr(object_store, "put_file", watched)
    with storage.staged_directory(location) as stage:
        fill(stage, ["index.json", "new.tar", "both.tar", "z/z.tar"], 2)
        assert storage.read_text(f"{location}/index.json") == "index.json 1"
    assert sorted(order[:-1]) == [("both.tar", False), ("new.tar", False), ("z.tar", False)]
    assert order[-1] == ("index.json", False)
    assert storage.list_files(location) == ["both.tar", "index.json", "new.tar", "z/z.tar"]
    assert storage.read_text(f"{location}/both.tar") == "both.tar 2"
    assert storage.list_files(f"{s3.uri}/run/shards2") == ["index.json"]


def test_a_failed_block_leaves_the_old_folder(s3):
    def fail():
        with storage.staged_directory(f"{s3.uri}/a") as stage:
            fill(stage, ["index.json", "new"])
            raise RuntimeError("no")

    storage.write_text(f"{s3.uri}/a/index.json", "old")
    with pytest.raises(RuntimeError, match="no"):
        fail()
    assert storage.list_files(f"{s3.uri}/a") == ["index.json"]


KILLED = """
import os, signal, sys
from omnidet import object_store, storage
put, calls = object_store.put_file, []
def dying(*arguments):
    calls.append(arguments)
    if len(calls) == 10:
        os.kill(os.getpid(), signal.SIGKILL)
    put(*arguments)
object_store.put_file = dying
with storage.staged_directory(sys.argv[1]) as stage:
    for i in range(30):
        storage.write_text(stage / f"{i:02d}.tar", "half")
    storage.write_text(stage / "index.json", "{}")
"""


@pytest.mark.parametrize("there_before", [False, True])
def test_a_killed_upload_leaves_no_index_and_the_next_run_cleans_up(s3, there_before):
    location = f"{s3.uri}/shards"
    if there_before:
        fill_uri = {"index.json": "{}", "old.tar": "old"}
        for name, content in fill_uri.items():
            storage.write_text(f"{location}/{name}", content)
    process = scripts.start(KILLED, location)
    errors = process.communicate(timeout=120)[1]
    assert process.returncode == -signal.SIGKILL, errors
    left = storage.list_files(location)
    assert left
    assert "index.json" not in left
    with pytest.raises(FileNotFoundError, match=r"index\.json does not exist"):
        shards.read_index(location)
    with storage.staged_directory(location) as stage:
        fill(stage, ["index.json", "00.tar"])
    assert storage.list_files(location) == ["00.tar", "index.json"]


def test_a_server_that_restarts_during_an_upload(s3, tmp_path, monkeypatch):
    location, failures = f"{s3.uri}/run", []
    put, puts, is_stopped = object_store.put_file, iter(range(4)), threading.Event()

    def some_before_the_stop(*given):
        assert next(puts, None) is not None or is_stopped.wait(60)
        put(*given)

    monkeypatch.setattr(object_store, "put_file", some_before_the_stop)
    content = {f"{i:02d}.tar": os.urandom(400_000) for i in range(24)}
    content |= {"large.tar": os.urandom(LARGE_BYTES), "index.json": b"{}"}

    def upload():
        try:
            with storage.staged_directory(location) as stage:
                for name, data in content.items():
                    (stage / name).write_bytes(data)
        except OSError as error:
            failures.append(error)

    thread = threading.Thread(target=upload)
    thread.start()
    while thread.is_alive() and len(storage.list_files(location)) < 4:
        time.sleep(0.02)
    s3.store.stop()
    try:
        is_stopped.set()
        time.sleep(2)
        assert thread.is_alive()
    finally:
        s3.store.start()
    thread.join(timeout=120)
    assert not thread.is_alive()
    assert not failures
    copy = storage.local_copy(location, tmp_path)
    assert {name: (copy / name).read_bytes() for name in storage.list_files(copy)} == content


@pytest.mark.slow
def test_a_server_that_goes_down_during_an_upload(s3, tmp_path, monkeypatch, reconnect):
    """The upload fails as a whole, nobody sees a part, and it succeeds once the server is back."""
    location, content = f"{s3.uri}/run", {"large.tar": os.urandom(100 << 20), "config.json": b"{}"}
    monkeypatch.setattr(s3_client, "TRIES", 2)  # another test waits for a restart
    reconnect()

    def upload():
        with storage.staged_directory(location) as stage:
            for name, data in content.items():
                (stage / name).write_bytes(data)

    put, end = object_store.put_file, threading.Timer(0.3, s3.store.stop)

    def dying(bucket, key, path):
        if key.endswith("large.tar"):
            end.start()
        put(bucket, key, path)

    with monkeypatch.context() as patch:
        patch.setattr(object_store, "put_file", dying)
        with pytest.raises(
            OSError, match=r"s3://.* (no object store answers|keeps failing|does not answer)"
        ):
            upload()
    end.join()
    s3.store.start()
    assert "large.tar" not in storage.list_files(location)
    with pytest.raises(OSError, match=r"run is not whole"):
        storage.local_copy(location, tmp_path)
    # What the upload left is of no value.
    storage.require_replaceable(location, "weights.safetensors")
    upload()
    copy = storage.local_copy(location, tmp_path)
    assert {name: (copy / name).read_bytes() for name in storage.list_files(copy)} == content


def test_a_folder_without_an_index_is_seen_complete_or_not_at_all(s3, tmp_path, monkeypatch):
    """Such as a vocabulary or a model, read before, between any two files, and after."""
    location, put, seen = f"{s3.uri}/model", object_store.put_file, []
    with storage.staged_directory(location) as stage:
        fill(stage, ["config.json", "weights", "old"], 1)
    assert storage.list_files(storage.local_copy(location, tmp_path)) == [
        "config.json",
        "old",
        "weights",
    ]

    def watched(bucket, key, path):
        for _ in range(2):
            with pytest.raises(OSError, match=r"model is not whole"):
                storage.local_copy(location, tmp_path)
            seen.append(key)
            put(bucket, key, path)

    monkeypatch.setattr(object_store, "put_file", watched)
    with storage.staged_directory(location) as stage:
        fill(stage, ["config.json", "weights"], 2)
    assert len(seen) == 4
    copy = storage.local_copy(location, tmp_path)
    assert {name: (copy / name).read_text() for name in storage.list_files(copy)} == {
        "config.json": "config.json 2",
        "weights": "weights 2",
    }
    real = s3_client.client().remove_object

    def removing(*arguments):
        with pytest.raises(OSError, match=r"model is not whole"):
            storage.local_copy(location, tmp_path)
        real(*arguments)

    monkeypatch.setattr(s3_client.client(), "remove_object", removing)
    storage.remove(location)
    assert storage.list_files(location) == []


def test_a_folder_that_changes_while_it_is_read_is_an_error(s3, tmp_path, monkeypatch):
    location, real = f"{s3.uri}/model", object_store.fetch
    for name in ("a", "b"):
        storage.write_text(f"{location}/{name}", "old")

    def download(file, bucket, key, *more):
        if key.endswith("/b"):
            storage.write_text(f"{location}/a", "new")
        return real(file, bucket, key, *more)

    monkeypatch.setattr(object_store, "fetch", download)
    with pytest.raises(OSError, match="model was written while it was read"):
        storage.local_copy(location, tmp_path)
    monkeypatch.setattr(object_store, "fetch", real)
    assert {p.read_text() for p in storage.local_copy(location, tmp_path).iterdir()} == {
        "new",
        "old",
    }


@pytest.mark.parametrize(
    ("size", "parts"),
    [pytest.param(LARGE_BYTES, 6), pytest.param(100_000_000, 20, marks=pytest.mark.slow)],
    ids=str,
)
def test_a_large_file_is_uploaded_in_parts(s3, tmp_path, fetched, size, parts):
    content = os.urandom(size)
    with storage.staged_directory(f"{s3.uri}/a") as stage:
        (stage / "large.tar").write_bytes(content)
    assert object_store.list_versions(s3.uri[5:], "a/")["large.tar"].etag.endswith(f"-{parts}")
    # Found by the listing, and by the object itself.
    for location in (f"{s3.uri}/a", f"{s3.uri}/a/large.tar", f"{s3.uri}/a"):
        copy = storage.local_copy(location, tmp_path)
    assert (copy / "large.tar").read_bytes() == content
    assert fetched == ["a/large.tar"]
    assert storage.read_bytes(f"{s3.uri}/a/large.tar", 20 << 20, 1000) == content[20 << 20 :][:1000]


def test_local_copy_follows_the_object_store(s3, tmp_path, fetched):
    location = f"{s3.uri}/data"
    for name in NAMES:
        storage.write_text(f"{location}/{name}", name)
    for _ in range(2):
        copy = storage.local_copy(location, tmp_path)
        assert {name: (copy / name).read_text() for name in storage.list_files(copy)} == {
            name: name for name in NAMES
        }
        assert sorted(fetched) == sorted(f"data/{name}" for name in NAMES)
    fetched.clear()
    storage.write_text(f"{location}/a.tar", "A.TAR")  # of the same length
    storage.write_text(f"{location}/new", "new")
    storage.remove(f"{location}/b/c.tar")
    copy = storage.local_copy(location, tmp_path)
    assert (copy / "a.tar").read_text() == "A.TAR"
    assert storage.list_files(copy) == sorted(
        [*(name for name in NAMES if name != "b/c.tar"), "new"]
    )
    assert sorted(fetched) == ["data/a.tar", "data/new"]
    (copy / "new").write_text("NEW")  # changed locally
    assert storage.local_copy(f"{location}/new", tmp_path).read_text() == "new"
    assert storage.local_copy(f"{location}/new", tmp_path) == tmp_path / location[5:] / "new"
    assert fetched[2:] == ["data/new"]
    assert list((tmp_path / ".parts").iterdir()) == []


def test_local_copy_stays_in_its_cache(s3, tmp_path):
    s3_client.client().put_object(s3.uri[5:], "a/x//y", io.BytesIO(b"x"), 1)
    with pytest.raises(ValueError, match=r"a/x//y.*local file"):
        storage.local_copy(f"{s3.uri}/a", tmp_path / "cache")


def test_parts_of_a_killed_process_are_removed_after_a_day(s3, tmp_path):
    storage.write_text(f"{s3.uri}/a", "a")
    (tmp_path / ".parts").mkdir()
    for name, age_hours in (("old", 25), ("young", 1)):
        (tmp_path / ".parts" / name).write_text("half")
        os.utime(tmp_path / ".parts" / name, (time.time() - age_hours * 3600,) * 2)
    storage.local_copy(f"{s3.uri}/a", tmp_path)
    assert [path.name for path in (tmp_path / ".parts").iterdir()] == ["young"]


def test_a_part_that_another_process_finishes_meanwhile_is_no_error(tmp_path, monkeypatch):
    (tmp_path / "part").touch()
    now = time.time()

    def moved_away() -> float:
        (tmp_path / "part").unlink()
        return now

    monkeypatch.setattr(object_folders.time, "time", moved_away)
    object_folders._remove_abandoned(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_what_is_written_again_as_it_is_can_be_read_meanwhile(s3, tmp_path):
    """Two runs of a pipeline make the same vocabulary: the first reads it as the second ends."""
    folder = f"{s3.uri}/vocabulary"

    def write(words: bytes) -> None:
        with storage.staged_directory(folder) as stage:
            (stage / "words.json").write_bytes(words)
            (stage / "tokens.json").write_bytes(b"{}")

    write(b"[1]")
    done, failures = threading.Event(), []

    def read() -> None:
        while not done.is_set():
            try:
                storage.local_copy(folder, tmp_path / "cache")
            except OSError as error:
                failures.append(str(error))

    reader = threading.Thread(target=read)
    reader.start()
    for _ in range(20):
        write(b"[1]")
    done.set()
    reader.join()
    assert failures == []
    write(b"[2]")
    assert (storage.local_copy(folder, tmp_path / "cache") / "words.json").read_bytes() == b"[2]"
    storage.write_bytes(f"{folder}/stray", b"")
    write(b"[2]")
    assert storage.list_files(folder) == ["tokens.json", "words.json"]
