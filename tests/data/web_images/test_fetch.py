"""Lists -> shards: from a real server, read back by the sources, resumed after a SIGKILL."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import multiprocessing
import signal
import subprocess
import sys
import tarfile
import threading
import time
from collections import Counter

import psutil
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from omnidet import storage
from omnidet.data.reading.quarantine import Quarantine
from omnidet.data.sources import cc12m, laion
from omnidet.data.web_images.fetch import fetch_images
from omnidet.data.web_images.fetcher import Manners
from omnidet.data.web_images.report import describe
from omnidet.data.web_images.settings import Options
from tests.data import hostile_server as hostile
from tests.data.web_images.pictures import picture, png_of, png_of_noise

MANNERS = Manners(wait_seconds=0.001, allow_private=True, connections=8, per_host=8, read_seconds=5)
OPTIONS = Options(workers=1, rows_per_shard=4, manners=MANNERS)


@pytest.fixture
def site():
    with hostile.hostile_server() as made:
        yield made


def write_list(path, rows, columns=("url", "caption")):
    if path.suffix == ".parquet":
        pq.write_table(
            pa.table({name: [row[i] for row in rows] for i, name in enumerate(columns)}), path
        )
    else:
        lines = [columns, *rows] if columns else rows
        path.write_text("".join("\t".join(row) + "\n" for row in lines), encoding="utf-8")
    return path


def read(source, folder):
    quarantine = Quarantine()
    records = list(source.read(str(folder), "train", quarantine))
    assert quarantine.lines == []
    return records


@pytest.mark.slow
def test_pictures_of_a_list_become_shards_that_the_sources_read(site, tmp_path):
    kinds = ["JPEG", "PNG", "WEBP"]
    contents = [picture(i, kind=kinds[i % 3]) for i in range(9)]
    contents.append(png_of_noise(400))  # large enough to be decoded in a thread
    site.files |= {f"{i}.jpg": content for i, content in enumerate(contents)}
    rows = [(site.url(f"{i}.jpg"), f"a picture, no. {i} é") for i in range(10)]
    report = fetch_images(
        write_list(tmp_path / "list.parquet", rows, ("URL", "TEXT")), tmp_path / "out", OPTIONS
    )
    assert (report["rows"], report["kept"], report["shards"], report["refused"]) == (10, 10, 3, {})
    assert sorted(path.name for path in (tmp_path / "out").iterdir() if path.is_file()) == [
        *(f"{i:06d}.tar" for i in range(3)),
        "fetch.json",
        "report.json",
    ]
    for source in (cc12m, laion):
        records = read(source, tmp_path / "out")
        assert [record.image for record in records] == contents
        assert [record.caption for record in records] == [row[1] for row in rows]
        assert {record.image_id for record in records} == source.image_ids(
            str(tmp_path / "out"), "train"
        )
        assert records[5].image_id == f"{source.SOURCE}:000001/0000000005"
    with tarfile.open(tmp_path / "out" / "000002.tar") as tar:
        assert tar.getnames() == [
            f"{i:010d}.{end}"
            for i, kind in ((8, "webp"), (9, "png"))
            for end in (kind, "json", "txt")
        ]
        about = json.loads(tar.extractfile("0000000009.json").read())
    assert about["url"] == rows[9][0]
    assert about["sha256"] == hashlib.sha256(contents[9]).hexdigest()
    stats = json.loads((tmp_path / "out" / "stats" / "000002.json").read_text(encoding="utf-8"))
    assert (
        stats["sha256"]
        == hashlib.sha256((tmp_path / "out" / "000002.tar").read_bytes()).hexdigest()
    )


@pytest.mark.slow
def test_every_row_that_is_refused_is_named_with_its_reason(site, tmp_path):
    whole = picture(0)
    site.files = {
        "good": whole,
        "cut": whole[: len(whole) // 2],
        "page": b"<html>not found</html>",
        "text": b"hello",
        "gif": b"GIF89a" + bytes(20),
        "tiny": picture(1, side=8),
        "bomb": png_of(60_000, 60_000),
        "long": png_of(5_000, 20),
        "copy": picture(0, side=90, quality=80),
        "other": picture(2),
    }
    names = [*site.files, "none", "good"]
    rows = [(site.url(name), name) for name in names] + [
        ("", "x"),
        (site.url("x"), " "),
        ("file:///etc/passwd", "x"),
    ]
    one = Options(workers=1, rows_per_shard=50, manners=MANNERS)
    report = fetch_images(write_list(tmp_path / "list.tsv", rows), tmp_path / "out", one)
    lines = (
        (tmp_path / "out" / "quarantine" / "000000.jsonl").read_text(encoding="utf-8").splitlines()
    )
    assert [
        (line["row"], line["reason"])
        for line in map(json.loads, lines)
        if line["row"] != (0 if report["kept"] == 1 else -1)
    ] == [
        (1, "truncated image"),
        (2, "a web page, not a picture"),
        (3, "unknown picture format"),
        (4, "unknown picture format"),
        (5, "too small"),
        (6, "too many pixels"),
        (7, "too elongated"),
        (8, "near copy of an earlier picture"),
        (10, "HTTP 404"),
        (11, "duplicate URL"),
        (12, "empty URL"),
        (13, "empty caption"),
        (14, "not http(s)"),
    ]
    assert report["refused"]["unknown picture format"] == 2
    assert [record.caption for record in read(cc12m, tmp_path / "out")] == ["good", "other"]
    assert "2 of 15 pictures in 1 shards (13.3%)" in describe(report)
    kept = Options(workers=1, rows_per_shard=50, manners=MANNERS, near_copies=False)
    assert fetch_images(tmp_path / "list.tsv", tmp_path / "kept", kept)["kept"] == 3


@pytest.mark.slow
def test_poisoned_links_are_found_by_the_hash_of_the_list(site, tmp_path):
    contents = [picture(i) for i in range(4)]
    site.files = {f"{i}": content for i, content in enumerate(contents)}
    digests = [
        hashlib.md5(contents[0], usedforsecurity=False).hexdigest(),
        hashlib.sha256(contents[1]).hexdigest().upper(),
        hashlib.sha256(b"another").hexdigest(),
        "",
    ]
    rows = [(site.url(f"{i}"), f"{i}", digest) for i, digest in enumerate(digests)]
    path = write_list(tmp_path / "list.parquet", rows, ("url", "caption", "digest"))
    options = Options(workers=1, manners=MANNERS, digest_column="digest")
    report = fetch_images(path, tmp_path / "out", options)
    assert report["refused"] == {"content differs from the list's hash": 1}
    with pytest.raises(ValueError, match=r"list\.parquet.*'sum'.*url, caption, digest"):
        fetch_images(
            path, tmp_path / "other", Options(workers=1, manners=MANNERS, digest_column="sum")
        )


@pytest.mark.slow
def test_googles_list_has_no_header(site, tmp_path):
    site.files = {"a": picture(0), "b": picture(1)}
    (tmp_path / "lists").mkdir()
    write_list(
        tmp_path / "lists" / "cc12m.tsv",
        [(site.url("a"), 'a "quoted" word'), (site.url("b"), "b")],
        (),
    )
    assert fetch_images(tmp_path / "lists", tmp_path / "out", OPTIONS)["kept"] == 2
    assert [record.caption for record in read(cc12m, tmp_path / "out")] == ['a "quoted" word', "b"]


@pytest.mark.slow
def test_parts_share_a_list(site, tmp_path):
    site.files = {f"{i}": picture(i) for i in range(10)}
    path = write_list(tmp_path / "list.parquet", [(site.url(f"{i}"), f"{i}") for i in range(10)])
    for part in range(2):
        report = fetch_images(
            path,
            tmp_path / "out",
            Options(workers=1, rows_per_shard=3, part=part, parts=2, manners=MANNERS),
        )
    assert report["kept"] == report["rows"] == 10
    assert Counter(asked for asked, _ in site.asked) == {f"{i}": 1 for i in range(10)}
    with pytest.raises(ValueError, match=r"rows_per_shard 3, now 4"):
        fetch_images(path, tmp_path / "out", OPTIONS)
    with pytest.raises(ValueError, match="part 2 of 2"):
        fetch_images(path, tmp_path / "out", Options(part=2, parts=2))


def test_a_part_may_have_no_shard(site, tmp_path):
    path = write_list(tmp_path / "list.tsv", [(site.url("a"), "a")])
    report = fetch_images(
        path, tmp_path / "out", Options(workers=1, part=1, parts=2, manners=MANNERS)
    )
    assert report == {
        "shards": 0,
        "rows": 0,
        "kept": 0,
        "bytes": 0,
        "kept_share": 0.0,
        "refused": {},
    }
    assert describe(report) == "0 of 0 pictures in 0 shards (0.0%)"
    assert site.asked == []


@pytest.mark.parametrize(
    ("name", "content", "problem"),
    [
        ("a.parquet", b"PAR1", r"a\.parquet"),
        ("a.tsv", b"x\ty\n", "url or image_url"),
        ("a.tsv", b"", "no header"),
        ("a.tsv", b"url\tcaption\n", "no rows"),
        ("a.csv", b"url,words\nx,y\n", "caption or text"),
        ("a.txt", b"", r"\.parquet, \.tsv, \.csv"),
    ],
)
def test_a_file_that_is_not_a_list_is_named(tmp_path, name, content, problem):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ValueError, match=problem):
        fetch_images(tmp_path / name, tmp_path / "out", OPTIONS)
    assert not (tmp_path / "out").exists()


def test_settings_may_change_until_there_is_a_shard(site, tmp_path):
    path, out = write_list(tmp_path / "list.tsv", [(site.url("a"), "a")]), tmp_path / "out"
    changed = dataclasses.replace(OPTIONS, part=1, parts=2)  # a part without a shard
    with pytest.raises(ValueError, match="'sum'"):
        fetch_images(path, out, dataclasses.replace(changed, digest_column="sum"))
    assert not out.exists()
    fetch_images(path, out, dataclasses.replace(changed, digest_column="url"))
    with (
        storage.locked(out / ".work" / "lock-0", "busy"),
        pytest.raises(ValueError, match=r"digest_column 'url'"),
    ):
        fetch_images(path, out, changed)
    assert fetch_images(path, out, changed)["shards"] == 0
    assert json.loads((out / "fetch.json").read_text(encoding="utf-8"))["digest_column"] == ""
    (out / "stats" / "000000.json").write_bytes(b"")  # damaged, but there was a shard
    with pytest.raises(ValueError, match=r"parts 2, now 1"):
        fetch_images(path, out, OPTIONS)


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"rows": "many"}', "{" + "[" * 9])
def test_a_damaged_file_of_an_earlier_run_is_named(site, tmp_path, content):
    path, out = write_list(tmp_path / "list.tsv", [(site.url("a"), "a")]), tmp_path / "out"
    options = dataclasses.replace(OPTIONS, part=1, parts=2)  # a part without a shard
    fetch_images(path, out, options)
    (out / "stats" / "000000.json").write_text(content, encoding="utf-8")
    with pytest.raises(
        ValueError,
        match=r"stats/000000\.json is damaged",
    ):
        fetch_images(path, out, options)
    (out / "fetch.json").write_text(content, encoding="utf-8")
    with pytest.raises(ValueError, match=r"fetch\.json is damaged"):
        fetch_images(path, out, options)
    assert site.asked == []


PROGRAM = """
import sys
from pathlib import Path
from omnidet.data.web_images.fetcher import Manners
from omnidet.data.web_images.fetch import fetch_images
from omnidet.data.web_images.settings import Options
if __name__ == "__main__":
    manners = Manners(allow_private=True, connections=2, per_host=2)
    options = Options(workers=2, rows_per_shard=10, manners=manners)
    fetch_images(Path(sys.argv[1]), Path(sys.argv[2]), options)
"""


@pytest.mark.slow
def test_a_killed_run_resumes_and_does_not_fetch_finished_shards_again(site, tmp_path):
    count, out = 120, tmp_path / "out"
    site.files = {f"{i}": picture(i) for i in range(count)}
    site.delay_seconds = 0.05
    path = write_list(tmp_path / "list.parquet", [(site.url(f"{i}"), f"{i}") for i in range(count)])
    program = tmp_path / "program.py"
    program.write_text(PROGRAM, encoding="utf-8")
    process = subprocess.Popen([sys.executable, str(program), str(path), str(out)])
    while process.poll() is None and len(list((out / "stats").glob("*.json"))) < 4:
        time.sleep(0.005)
    assert process.poll() is None
    workers = psutil.Process(process.pid).children(recursive=True)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert psutil.wait_procs(workers, timeout=60)[1] == []  # they notice, and end
    finished = {int(p.stem) for p in (out / "stats").glob("*.json")}
    mark = len(site.asked)
    site.delay_seconds = 0
    options = Options(workers=1, rows_per_shard=10, manners=MANNERS)
    fetch_images(path, out, options)
    again = Counter(int(asked) // 10 for asked, _ in site.asked[mark:])
    assert not again.keys() & finished
    assert again == {shard: 10 for shard in range(count // 10) if shard not in finished}
    assert 4 <= len(finished) < count // 10
    assert [int(record.caption) for record in read(cc12m, out)] == list(range(count))
    assert list((out / ".work").glob("[0-9]*")) == []
    mark = len(site.asked)
    assert fetch_images(path, out, options)["kept"] == count
    assert len(site.asked) == mark


@pytest.mark.slow
def test_a_shard_without_a_network_is_fetched_again(site, tmp_path):
    site.files = {f"{i}": picture(i) for i in range(4)}
    dead = [(f"http://127.0.0.1:1/{i}", "x") for i in range(2)] + [
        ("http://no-such-host.invalid/", "x"),
        ("file:///x", "x"),
    ]
    path = write_list(tmp_path / "list.tsv", [(site.url(f"{i}"), f"{i}") for i in range(4)] + dead)
    away = r"nothing in shard 1 .*unknown host: 1.*--dead-links"
    for asked in (4, 4):
        with pytest.raises(ConnectionError, match=away):
            fetch_images(path, tmp_path / "out", OPTIONS)
        assert [stats.name for stats in (tmp_path / "out" / "stats").iterdir()] == ["000000.json"]
        assert len(site.asked) == asked
    report = fetch_images(path, tmp_path / "out", dataclasses.replace(OPTIONS, dead_links=True))
    assert (report["kept"], report["rows"]) == (4, 8)
    path = write_list(tmp_path / "other.tsv", [*dead, (site.url("none"), "it answers")])
    assert (
        fetch_images(path, tmp_path / "other", dataclasses.replace(OPTIONS, rows_per_shard=5))[
            "kept"
        ]
        == 0
    )


@pytest.mark.slow
def test_a_killed_process_is_an_error_that_says_how_to_resume(site, tmp_path):
    site.files = {f"{i}": picture(i) for i in range(8)}
    site.delay_seconds = 0.3
    path = write_list(tmp_path / "list.parquet", [(site.url(f"{i}"), f"{i}") for i in range(8)])

    def kill():
        while not multiprocessing.active_children() or not site.asked:
            time.sleep(0.01)
        multiprocessing.active_children()[0].kill()

    thread = threading.Thread(target=kill)
    thread.start()
    with pytest.raises(OSError, match="--workers"):
        fetch_images(path, tmp_path / "out", OPTIONS)
    thread.join()
    site.delay_seconds = 0
    assert fetch_images(path, tmp_path / "out", OPTIONS)["kept"] == 8


@pytest.mark.slow
def test_a_run_that_fails_does_not_wait_for_shards_under_way(site, tmp_path):
    site.files = {"quick": picture(0), "slow": picture(1)}
    site.faults["slow"] = [hostile.stalls_after(10, seconds=20)] * 9
    path = write_list(tmp_path / "list.tsv", [(site.url(name), name) for name in site.files])
    patient = dataclasses.replace(MANNERS, read_seconds=20)
    options = Options(workers=2, rows_per_shard=1, manners=patient)

    def stop(_):
        raise KeyboardInterrupt

    begin = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        fetch_images(path, tmp_path / "out", options, stop)
    assert time.monotonic() - begin < 15
    assert multiprocessing.active_children() == []
    assert [stats.name for stats in (tmp_path / "out" / "stats").iterdir()] == ["000000.json"]
