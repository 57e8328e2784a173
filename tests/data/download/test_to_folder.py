"""A dataset into a folder: parallel, locked, unpacked, and resumed after a SIGKILL."""

from __future__ import annotations

import hashlib
import json
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from omnidet.data.download.catalogue import Dataset, RemoteFile
from omnidet.data.download.http_range import Patience
from omnidet.data.download.lock_file import NAME as LOCK_NAME
from omnidet.data.download.manifest import WORK_NAME
from omnidet.data.download.partial_file import TransferError
from omnidet.data.download.selection import Options
from omnidet.data.download.to_folder import download_to_folder
from tests.data import hostile_server as hostile
from tests.data.download.test_archives import make_tar, make_zip

QUICK = Patience(tries=2, wait_seconds=0.001, read_seconds=2)
OPTIONS = Options(patience=QUICK)


@pytest.fixture
def site(tmp_path) -> Iterator[hostile.Site]:
    with hostile.hostile_server() as made:
        made.files["a.zip"] = make_zip(
            tmp_path / "a.zip", ("train/1.jpg", b"one"), ("train/2.jpg", b"two")
        ).read_bytes()
        made.files["b.tar.gz"] = make_tar(tmp_path / "b.tar.gz", ("b.json", b"{}")).read_bytes()
        made.files["c.txt"] = b"list"
        yield made


def dataset(site, **known) -> Dataset:
    entries = [("a.zip", "."), ("b.tar.gz", "annotations"), ("c.txt", "")]
    files = [
        RemoteFile(name, (site.url(name),), unpack=unpack, **known.get(name[0], {}))
        for name, unpack in entries
    ]
    return Dataset("toy", "a toy", "", tuple(files))


def data_files(folder: Path) -> dict[str, bytes]:
    paths = [
        path
        for path in folder.rglob("*")
        if path.is_file() and WORK_NAME not in path.parts and path.name != LOCK_NAME
    ]
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}


WHOLE = {
    "train/1.jpg": b"one",
    "train/2.jpg": b"two",
    "annotations/b.json": b"{}",
    "c.txt": b"list",
}


def test_fetched_unpacked_locked_and_not_fetched_again(site, tmp_path):
    out = tmp_path / "out"
    outcomes = download_to_folder(dataset(site), out, OPTIONS)
    assert data_files(out) == WHOLE
    assert [(o.name, o.state, o.is_first_seen) for o in outcomes] == [
        ("a.zip", "unpacked", True),
        ("b.tar.gz", "unpacked", True),
        ("c.txt", "fetched", True),
    ]
    lock = json.loads((out / LOCK_NAME).read_text(encoding="utf-8"))
    assert lock["files"]["c.txt"] == {
        "url": site.url("c.txt"),
        "size_bytes": 4,
        "sha256": hashlib.sha256(b"list").hexdigest(),
    }
    assert sorted(path.name for path in (out / WORK_NAME).iterdir()) == [
        "a.zip.files",
        "b.tar.gz.files",
        "lock",
    ]
    again = download_to_folder(dataset(site), out, OPTIONS)
    assert [o.state for o in again] == ["already there"] * 3
    assert [o.sha256 for o in again] == [o.sha256 for o in outcomes]
    assert len(site.asked) == 3


def test_folders_may_be_relative(site, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "by_hand.txt").write_bytes(b"mine")
    given = RemoteFile("by_hand.txt", by_hand="https://form")
    files = Dataset("toy", "", "", (*dataset(site).files, given))
    for state, verify in (("fetched", False), ("already there", False), ("already there", True)):
        outcomes = download_to_folder(
            files, Path("out"), Options(patience=QUICK, path=Path("by_hand.txt"), verify=verify)
        )
        assert [outcome.state for outcome in outcomes[2:]] == [state] * 2
    lock = json.loads((tmp_path / "out" / LOCK_NAME).read_text(encoding="utf-8"))
    assert lock["files"]["by_hand.txt"]["url"] == (tmp_path / "by_hand.txt").as_uri()


def test_a_file_that_changed_after_it_was_first_seen_is_an_error(site, tmp_path):
    out = tmp_path / "out"
    download_to_folder(dataset(site), out, OPTIONS)
    (out / "c.txt").unlink()
    (out / "train" / "1.jpg").unlink()
    site.files["c.txt"] = b"lies"
    with pytest.raises(
        TransferError,
        match=r"1 of 3 .*c\.txt .*\w{64}.*\w{64}.*download\.lock",
    ):
        download_to_folder(dataset(site), out, OPTIONS)
    assert data_files(out) == {name: content for name, content in WHOLE.items() if name != "c.txt"}
    # The lock alone is enough for another machine to get the same bytes.
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / LOCK_NAME).write_bytes((out / LOCK_NAME).read_bytes())
    with pytest.raises(TransferError, match=r"c\.txt"):
        download_to_folder(dataset(site), elsewhere, OPTIONS)
    with pytest.raises(ValueError, match=r"c\.txt: .*download\.lock\.json"):
        download_to_folder(dataset(site, c={"sha256": "0" * 64}), out, OPTIONS)


def test_existing_files_are_never_replaced(site, tmp_path):
    out = tmp_path / "out"
    (out / "train").mkdir(parents=True)
    (out / "train" / "2.jpg").write_bytes(b"mine")
    with pytest.raises(ValueError, match=r"2\.jpg exists and differs"):
        download_to_folder(dataset(site), out, OPTIONS)
    assert (out / "train" / "2.jpg").read_bytes() == b"mine"
    assert not (out / "train" / "1.jpg").exists()
    (out / "train" / "2.jpg").write_bytes(b"two")
    download_to_folder(dataset(site), out, OPTIONS)
    (out / "c.txt").write_bytes(b"LIST")
    download_to_folder(dataset(site), out, OPTIONS)
    with pytest.raises(ValueError, match=r"c\.txt is not the dataset's file"):
        download_to_folder(dataset(site), out, Options(patience=QUICK, verify=True))
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "c.txt").write_bytes(b"list")
    with pytest.raises(ValueError, match=r"c\.txt exists, and no known hash"):
        download_to_folder(dataset(site), tmp_path / "other", OPTIONS)
    with pytest.raises(ValueError, match=r"a\.zip is a file"):
        download_to_folder(dataset(site), tmp_path / "a.zip", OPTIONS)


def test_one_failure_leaves_the_others_whole(site, tmp_path):
    del site.files["a.zip"]
    site.files["b.tar.gz"] = site.files["b.tar.gz"][:-9]
    with pytest.raises(ValueError, match=r"b\.tar\.gz is truncated or damaged"):
        download_to_folder(
            dataset(site), tmp_path / "out", Options(patience=QUICK, patterns=("b*",))
        )
    with pytest.raises(TransferError, match=r"1 of 2 .*a\.zip .*HTTP 404"):
        download_to_folder(
            dataset(site), tmp_path / "out", Options(patience=QUICK, patterns=("a.zip", "c*"))
        )
    assert data_files(tmp_path / "out") == {"c.txt": b"list"}
    with pytest.raises(ValueError, match="toy has no file that matches x"):
        download_to_folder(dataset(site), tmp_path / "out", Options(patterns=("x",)))


def test_a_malicious_archive_leaves_nothing(site, tmp_path):
    site.files["a.zip"] = make_zip(
        tmp_path / "evil.zip", ("train/1.jpg", b"one"), ("../../evil", b"evil")
    ).read_bytes()
    with pytest.raises(ValueError, match=r"\.\./\.\./evil"):
        download_to_folder(
            dataset(site), tmp_path / "in" / "out", Options(patience=QUICK, patterns=("a*",))
        )
    assert data_files(tmp_path / "in" / "out") == {}
    assert not (tmp_path / "evil").exists()
    assert not (tmp_path / "in" / "evil").exists()


@pytest.mark.parametrize(
    "member", [LOCK_NAME, f"{WORK_NAME}/a.zip.files", f"{WORK_NAME.upper()}/lock", "more/fine"]
)
def test_an_archive_does_not_write_reserved_names(site, tmp_path, member):
    site.files["a.zip"] = make_zip(
        tmp_path / "evil.zip", ("1.jpg", b"one"), (member, b"{}")
    ).read_bytes()
    options = Options(patience=QUICK, patterns=("a*",))
    if member == "more/fine":
        download_to_folder(dataset(site), tmp_path / "out", options)
    else:
        with pytest.raises(ValueError, match=rf"a\.zip has a member '{member}'"):
            download_to_folder(dataset(site), tmp_path / "out", options)
        assert sorted(path.name for path in (tmp_path / "out").rglob("*")) == [WORK_NAME, "lock"]
    files = (RemoteFile("a.zip", (site.url("a.zip"),), unpack="below"),)
    download_to_folder(Dataset("toy", "", "", files), tmp_path / "below", options)
    assert (tmp_path / "below" / "below" / member).exists()


def test_a_licence_is_required_before_anything_is_fetched(site, tmp_path):
    images = RemoteFile("images.tar.gz", by_hand="https://form", unpack=".")
    given = Dataset("flickr", "", "", (*dataset(site).files[2:], images))
    folder = tmp_path / "given"
    folder.mkdir()
    for options in (Options(), Options(path=folder), Options(path=tmp_path / "none")):
        with pytest.raises(ValueError, match=r"images\.tar\.gz .*https://form.*--path"):
            download_to_folder(given, tmp_path / "out", options)
    assert site.asked == []
    archive = make_tar(folder / "images.tar.gz", ("images/1.jpg", b"one"))
    for path in (folder, archive):
        out = tmp_path / f"out{path.suffix}"
        download_to_folder(given, out, Options(path=path))
        assert data_files(out) == {"c.txt": b"list", "images/1.jpg": b"one"}
    assert archive.exists()


@pytest.mark.slow
def test_two_at_once_are_refused(site, tmp_path):
    site.delay_seconds = 1
    out = tmp_path / "out"
    first = start(site, out)
    while not site.asked:
        time.sleep(0.01)
    with pytest.raises(ValueError, match="out is under way"):
        download_to_folder(dataset(site), out, OPTIONS)
    assert first.wait(30) == 0


PROGRAM = """
import json, sys
from pathlib import Path
from omnidet.data.download.selection import Options
from omnidet.data.download.to_folder import download_to_folder
from omnidet.data.download.catalogue import Dataset, RemoteFile
from omnidet.data.download.lock_file import NAME as LOCK_NAME
entries = json.loads(sys.argv[2])
files = tuple(RemoteFile(name, (url,), unpack=unpack) for name, url, unpack in entries)
download_to_folder(Dataset("toy", "", "", files), Path(sys.argv[1]), Options())
"""


def start(site, out: Path) -> subprocess.Popen[bytes]:
    files = json.dumps([(file.name, file.urls[0], file.unpack) for file in dataset(site).files])
    return subprocess.Popen([sys.executable, "-c", PROGRAM, str(out), files])


@pytest.mark.slow
def test_a_killed_run_is_resumed(site, tmp_path):
    content = random.Random(0).randbytes(2_000_000)
    site.files["a.zip"] = make_zip(
        tmp_path / "big.zip", *((f"train/{i}.jpg", content[i::9]) for i in range(9))
    ).read_bytes()
    site.etags["a.zip"] = '"one"'
    site.delay_seconds = 0.02
    out, part = tmp_path / "out", tmp_path / "out" / WORK_NAME / "a.zip.part"
    for share in (0.2, 0.4, 0.6):
        process = start(site, out)
        while process.poll() is None and not (
            part.exists() and part.stat().st_size > share * len(content)
        ):
            time.sleep(0.002)
        assert process.poll() is None
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert not any(path.startswith("train") for path in data_files(out))
    site.delay_seconds = 0
    assert start(site, out).wait(30) == 0
    assert data_files(out).keys() == {
        *WHOLE.keys() - {"train/1.jpg", "train/2.jpg"},
        *(f"train/{i}.jpg" for i in range(9)),
    }
    asked = site.requests("a.zip")
    assert len(asked) == 4
    assert all(
        headers["If-Range"] == '"one"' and int(headers["Range"][6:-1]) > 0 for headers in asked[1:]
    )
    assert site.sent < 1.5 * len(content)


@pytest.mark.parametrize(
    "content",
    [
        "",
        "[]",
        "{}",
        '{"schema_version": 9, "files": {}}',
        '{"schema_version": 1, "files": {"a": 3}}',
    ],
)
def test_a_damaged_lock_file_is_named(site, tmp_path, content):
    (tmp_path / LOCK_NAME).write_text(content, encoding="utf-8")
    with pytest.raises(ValueError, match=LOCK_NAME):
        download_to_folder(dataset(site), tmp_path, OPTIONS)
