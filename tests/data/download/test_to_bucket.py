"""A dataset into a real object store: fetched, unpacked, uploaded, resumed after a SIGKILL."""

from __future__ import annotations

import json
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from omnidet import object_store, s3_client, storage
from omnidet.data.download import lock_file
from omnidet.data.download.manifest import WORK_NAME
from omnidet.data.download.partial_file import TransferError
from omnidet.data.download.selection import Options
from omnidet.data.download.to_bucket import download_to_bucket
from tests.data.download.test_archives import make_zip
from tests.data.download.test_to_folder import OPTIONS, QUICK, WHOLE, dataset, site

__all__ = ["site"]  # a fixture

pytestmark = pytest.mark.s3

LOCK, MANIFESTS = lock_file.NAME, [f"{WORK_NAME}/a.zip.files", f"{WORK_NAME}/b.tar.gz.files"]


def contents(location: str) -> dict[str, bytes]:
    names = [
        name
        for name in storage.list_files(location)
        if not name.startswith(WORK_NAME) and name != LOCK
    ]
    return {name: storage.read_bytes(f"{location}/{name}") for name in names}


def counted(monkeypatch, name: str) -> list[tuple[object, ...]]:
    """Record every call of a method of the object store's client."""
    calls, real = [], getattr(s3_client.client(), name)
    monkeypatch.setattr(
        s3_client.client(),
        name,
        lambda *given, **more: calls.append(given) or real(*given, **more),
    )
    return calls


def test_fetched_unpacked_uploaded_and_not_fetched_again(s3, site, tmp_path, monkeypatch):
    out, scratch = f"{s3.uri}/data", tmp_path / "scratch"
    outcomes = download_to_bucket(dataset(site), out, scratch, OPTIONS)
    assert contents(out) == WHOLE
    assert storage.list_files(out) == sorted([*WHOLE, *MANIFESTS, LOCK])
    assert [(o.name, o.state, o.is_first_seen) for o in outcomes] == [
        ("a.zip", "unpacked", True),
        ("b.tar.gz", "unpacked", True),
        ("c.txt", "fetched", True),
    ]
    assert json.loads(storage.read_text(f"{out}/{LOCK}"))["files"]["c.txt"]["url"] == site.url(
        "c.txt"
    )
    assert [path.name for path in scratch.iterdir()] == [WORK_NAME]  # nothing large

    listings, looks = counted(monkeypatch, "list_objects"), counted(monkeypatch, "stat_object")
    again = download_to_bucket(dataset(site), out, None, OPTIONS)
    assert [o.state for o in again] == ["already there"] * 3
    assert [(o.size_bytes, o.sha256) for o in again] == [(o.size_bytes, o.sha256) for o in outcomes]
    assert len(site.asked) == 3
    assert (len(listings), len(looks)) == (1, 1)  # one listing, and one look for the lock


def test_what_was_deleted_or_cut_is_fetched_again_alone(s3, site, monkeypatch):
    out = f"{s3.uri}/data"
    download_to_bucket(dataset(site), out, None, OPTIONS)
    storage.remove(f"{out}/train/2.jpg")
    storage.remove(f"{out}/c.txt")
    uploads = counted(monkeypatch, "fput_object")
    states = [o.state for o in download_to_bucket(dataset(site), out, None, OPTIONS)]
    assert states == ["unpacked", "already there", "fetched"]
    assert [name for name, _ in site.asked[3:]] == ["a.zip", "c.txt"]
    assert [call[1] for call in uploads] == [
        "data/train/2.jpg",
        f"data/{MANIFESTS[0]}",
        "data/c.txt",
    ]
    assert contents(out) == WHOLE
    storage.write_bytes(f"{out}/train/1.jpg", b"onetwo")
    with pytest.raises(
        ValueError,
        match=r"data/train/1\.jpg exists and differs",
    ):
        download_to_bucket(dataset(site), out, None, OPTIONS)


def test_a_file_that_changed_after_it_was_first_seen_is_an_error(s3, site):
    out = f"{s3.uri}/data"
    download_to_bucket(dataset(site), out, None, OPTIONS)
    for name in ("c.txt", "train/1.jpg"):
        storage.remove(f"{out}/{name}")
    site.files["c.txt"] = b"lies"
    with pytest.raises(
        TransferError,
        match=rf"1 of 3 .*c\.txt .*SHA-256.*{out}/{LOCK}",
    ):
        download_to_bucket(dataset(site), out, None, OPTIONS)
    assert contents(out) == {name: content for name, content in WHOLE.items() if name != "c.txt"}
    with pytest.raises(ValueError, match=f"c.txt: {out}/{LOCK}"):
        download_to_bucket(dataset(site, c={"sha256": "0" * 64}), out, None, OPTIONS)


def test_existing_objects_are_never_replaced(s3, site):
    out = f"{s3.uri}/data"
    storage.write_bytes(f"{out}/train/2.jpg", b"own")  # of the same size
    with pytest.raises(
        ValueError,
        match=r"train/2\.jpg exists and differs",
    ):
        download_to_bucket(dataset(site), out, None, OPTIONS)
    assert storage.list_files(out) == ["train/2.jpg"]
    assert storage.read_bytes(f"{out}/train/2.jpg") == b"own"
    storage.write_bytes(f"{out}/train/2.jpg", b"two")
    download_to_bucket(dataset(site), out, None, OPTIONS)
    storage.write_bytes(f"{out}/c.txt", b"LIST")
    download_to_bucket(dataset(site), out, None, OPTIONS)  # of the right size
    with pytest.raises(ValueError, match=r"c\.txt exists and differs"):
        download_to_bucket(dataset(site), out, None, Options(patience=QUICK, verify=True))
    assert storage.read_bytes(f"{out}/c.txt") == b"LIST"


def test_a_large_object_is_compared_by_reading_it(s3, site):
    """It was uploaded in parts, so its ETag is not an MD5."""
    out, content = f"{s3.uri}/data", random.Random(0).randbytes(18_000_000)
    site.files["c.txt"] = content
    download_to_bucket(dataset(site), out, None, OPTIONS)
    assert "-" in object_store.versions(out)["c.txt"].etag
    storage.remove(f"{out}/{LOCK}")
    states = [o.state for o in download_to_bucket(dataset(site), out, None, OPTIONS)]
    assert states == ["unpacked", "unpacked", "fetched"]
    site.files["c.txt"] = content[:-1] + b"!"
    storage.remove(f"{out}/{LOCK}")
    with pytest.raises(ValueError, match=r"c\.txt exists and differs"):
        download_to_bucket(dataset(site), out, None, OPTIONS)


def test_two_datasets_share_a_folder_and_its_lock(s3, site):
    """Another download may write the lock while this one is under way."""
    out, other = f"{s3.uri}/data", {"url": "x", "size_bytes": 1, "sha256": "0" * 64}
    download_to_bucket(dataset(site), out, None, Options(patience=QUICK, patterns=("a.zip",)))

    def meanwhile(_: int) -> None:
        entries = lock_file.read(f"{out}/{LOCK}")
        lock_file.write(f"{out}/{LOCK}", {**entries, "other.zip": other})

    download_to_bucket(
        dataset(site), out, None, Options(patience=QUICK, patterns=("c.txt",)), meanwhile
    )
    assert lock_file.read(f"{out}/{LOCK}").keys() == {"a.zip", "c.txt", "other.zip"}


PROGRAM = """
import sys, time
from pathlib import Path
from omnidet import storage
from omnidet.data.download import catalogue
from omnidet.data.download.to_bucket import download_to_bucket
(dataset,) = catalogue.load(Path(sys.argv[2])).values()
upload, places = storage.upload, iter(range(int(sys.argv[4])))
def some(*files):
    if next(places, None) is None:
        time.sleep(600)  # to be killed
    upload(*files)
storage.upload = some
download_to_bucket(dataset, sys.argv[1], Path(sys.argv[3]))
"""


def start(
    out: str, own_catalogue: Path, scratch: Path, uploads: int = 1000
) -> subprocess.Popen[bytes]:
    """A download that hangs after so many uploads."""
    places = [out, str(own_catalogue), str(scratch)]
    return subprocess.Popen([sys.executable, "-c", PROGRAM, *places, str(uploads)])


def killed_when(process: subprocess.Popen[bytes], is_time) -> None:
    while not is_time():
        assert process.poll() is None
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    process.wait()


def test_a_killed_run_is_resumed(s3, site, tmp_path):
    """On the same scratch folder while it fetched, on an empty one while it uploaded."""
    out, count = f"{s3.uri}/data", 60
    pictures = {f"train/{i}.jpg": random.Random(i).randbytes(20_000) for i in range(count)}
    site.files["a.zip"] = make_zip(tmp_path / "many.zip", *pictures.items()).read_bytes()
    site.etags["a.zip"] = '"one"'
    entries = [
        f'[[toy.files]]\nname = "{f.name}"\nurls = ["{f.urls[0]}"]\nunpack = "{f.unpack}"'
        for f in dataset(site).files
    ]
    own = tmp_path / "own.toml"
    own.write_text("[toy]\n" + "\n".join(entries), encoding="utf-8")
    scratch, part = tmp_path / "scratch", tmp_path / "scratch" / "a.zip" / WORK_NAME / "a.zip.part"

    site.delay_seconds = 0.02
    killed_when(start(out, own, scratch), lambda: part.exists() and part.stat().st_size > 400_000)
    assert storage.list_files(out) == []

    site.delay_seconds = 0
    killed_when(start(out, own, scratch, uploads=20), lambda: len(storage.list_files(out)) > 5)
    (_, second) = site.requests("a.zip")
    assert int(second["Range"].removeprefix("bytes=").rstrip("-")) > 400_000
    left = storage.list_files(out)
    assert 5 < len(left) < count
    assert LOCK not in left
    before = object_store.versions(out)

    assert start(out, own, tmp_path / "empty").wait(60) == 0
    assert contents(out) == {**pictures, "annotations/b.json": b"{}", "c.txt": b"list"}
    assert len(site.requests("a.zip")) == 3
    after = object_store.versions(out)
    assert all(after[name] == version for name, version in before.items())
    assert start(out, own, tmp_path / "other").wait(60) == 0
    assert len(site.asked) == 5  # three times a.zip, once b.tar.gz and c.txt


def test_wrong_places_are_named(s3, site, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(ValueError, match="file is a file"):
        download_to_bucket(dataset(site), f"{s3.uri}/data", tmp_path / "file", OPTIONS)
    with pytest.raises(FileNotFoundError, match="no bucket 'none'"):
        download_to_bucket(dataset(site), "s3://none/data", tmp_path / "scratch", OPTIONS)
    storage.write_text(f"{s3.uri}/data/{LOCK}", "[]")
    with pytest.raises(ValueError, match=f"{s3.uri}/data/{LOCK}"):
        download_to_bucket(dataset(site), f"{s3.uri}/data", tmp_path / "scratch", OPTIONS)
    assert site.asked == []
