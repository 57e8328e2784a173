"""Objects on a real server that is cut off, lies, and is written to by several at once."""

from __future__ import annotations

import os

import pytest

from omnidet import object_store, s3_client, storage
from tests import scripts
from tests.object_store import Between, OneAtATime

pytestmark = pytest.mark.s3
NAMES = ["a.tar", "b/c.tar", "b/ärger 红色 +%20&=?#;.tar", "b/d/e.json"]


def test_round_trip(s3):
    for name in NAMES:
        location = storage.join(s3.uri, "folder", name)
        assert not storage.exists(location)
        storage.write_text(location, f"äöü {name}")
        assert storage.exists(location)
        assert storage.read_text(location) == f"äöü {name}"
    storage.write_bytes(f"{s3.uri}/folder/a.tar", b"")
    assert storage.read_bytes(f"{s3.uri}/folder/a.tar") == b""
    assert (
        storage.list_files(f"{s3.uri}/folder")
        == storage.list_files(f"{s3.uri}/folder/")
        == sorted(NAMES)
    )
    assert storage.list_files(s3.uri) == sorted(f"folder/{name}" for name in NAMES)
    assert storage.list_files(f"{s3.uri}/fold") == storage.list_folders(f"{s3.uri}/nothing") == []
    assert storage.list_folders(s3.uri) == ["folder"]
    assert storage.list_folders(f"{s3.uri}/folder") == ["b"]
    assert storage.list_folders(f"{s3.uri}/folder/b/") == ["d"]


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
def test_read_a_range(s3, offset, length, content):
    storage.write_bytes(f"{s3.uri}/file", b"0123456789")
    assert storage.read_bytes(f"{s3.uri}/file", offset, length) == content


def test_missing_is_named(s3, tmp_path):
    missing = f"{s3.uri}/nothing"
    for read in (
        storage.read_bytes,
        lambda x: storage.read_bytes(x, 0, 0),
        lambda x: storage.local_copy(x, tmp_path),
    ):
        with pytest.raises(FileNotFoundError, match=f"{missing} does not exist"):
            read(missing)
    storage.remove(missing)


NUM_RACES = 15
RACER = f"""
import sys
from omnidet import storage
storage.exists(sys.argv[1] + "/warm")
print("ready", flush=True)
sys.stdin.readline()
for i in range({NUM_RACES}):
    has_won = storage.write_bytes_if_absent(sys.argv[1] + "/" + str(i), sys.argv[2].encode())
    print(int(has_won), end="", flush=True)
"""


@pytest.mark.parametrize("kind", ["s3", "local"])
def test_one_of_two_processes_that_write_if_absent_wins(s3, tmp_path, monkeypatch, kind):
    root = s3.uri if kind == "s3" else str(tmp_path)
    with OneAtATime(s3.store) as door:
        monkeypatch.setenv("AWS_ENDPOINT_URL", door.endpoint)  # for the two processes
        racers = [scripts.start(RACER, root, name) for name in ("first", "second")]
        for racer in racers:
            assert racer.stdout.readline() == "ready\n"
        for racer in racers:
            racer.stdin.write("go\n")
            racer.stdin.flush()
        results = [racer.communicate(timeout=120) for racer in racers]
    assert [racer.returncode for racer in racers] == [0, 0], results
    for i, (first, second) in enumerate(zip(*(output for output, _ in results), strict=True)):
        assert {first, second} == {"0", "1"}
        assert storage.read_bytes(f"{root}/{i}") == (b"first" if first == "1" else b"second")
    assert len(storage.list_files(root)) == NUM_RACES


def test_the_store_decides_who_writes_if_absent(s3, monkeypatch):
    """The condition of the store decides, not the check that comes first."""
    monkeypatch.setattr(object_store, "version", lambda *_: None)
    assert storage.write_bytes_if_absent(f"{s3.uri}/one", b"first")
    assert not storage.write_bytes_if_absent(f"{s3.uri}/one", b"second")
    assert storage.read_bytes(f"{s3.uri}/one") == b"first"


def test_write_if_absent_recognises_its_own_write_if_the_response_was_lost(
    s3, reconnect, monkeypatch
):
    lost = []

    def lose_the_first_answer(connection, sent, chunk):
        if chunk.startswith(b"HTTP/1.1 200") and not lost:
            lost.append(chunk)
            return None
        return chunk

    monkeypatch.setattr(object_store, "version", lambda *_: None)
    with Between(s3.store.endpoint, lose_the_first_answer) as between:
        reconnect(AWS_ENDPOINT_URL=between.endpoint)
        assert storage.write_bytes_if_absent(f"{s3.uri}/one", b"first")
        assert not storage.write_bytes_if_absent(f"{s3.uri}/one", b"second")
        assert lost
        s3_client.forget()


def test_a_response_that_breaks_off_is_requested_again(s3, tmp_path, reconnect):
    content = os.urandom(1_000_000)
    storage.write_bytes(f"{s3.uri}/a", content)
    broken = []

    def break_off(connection, sent, chunk):
        if sent > 300_000 and len(broken) < 2:
            broken.append(connection)
            return None
        return chunk

    with Between(s3.store.endpoint, break_off) as between:
        reconnect(AWS_ENDPOINT_URL=between.endpoint)
        assert storage.read_bytes(f"{s3.uri}/a") == content
        assert len(broken) == 2
        broken.clear()
        assert storage.local_copy(f"{s3.uri}/a", tmp_path).read_bytes() == content
        assert len(broken) == 2
        s3_client.forget()


def test_damaged_content_is_fetched_again_and_never_returned(s3, tmp_path, reconnect, monkeypatch):
    content = os.urandom(1_000_000)
    storage.write_bytes(f"{s3.uri}/a", content)
    damaged, times = [], 1

    def damage(connection, sent, chunk):
        is_content = sent > 300_000 and b"HTTP/1.1" not in chunk  # not the headers
        if is_content and len(damaged) < times:
            damaged.append(connection)
            return chunk[:-1] + bytes([chunk[-1] ^ 1])
        return chunk

    with Between(s3.store.endpoint, damage) as between:
        reconnect(AWS_ENDPOINT_URL=between.endpoint)
        assert storage.read_bytes(f"{s3.uri}/a") == content
        assert len(damaged) == 1
        monkeypatch.setattr(object_store, "WAIT_SECONDS", 0)
        times = 10**9
        with pytest.raises(OSError, match=r"a arrived damaged 5 times"):
            storage.local_copy(f"{s3.uri}/a", tmp_path)
        s3_client.forget()
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]
