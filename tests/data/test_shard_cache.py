"""Shards at hand: checked once, streamed through a bounded folder, with patience for servers."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from omnidet import storage
from omnidet.data import shard_cache, shard_writer, shards
from omnidet.data.mixing.config import MixingConfig, Stream
from omnidet.data.mixing.mixture import Loader, Mixture
from omnidet.data.shard_cache import ShardCache
from omnidet.schema import Record
from tests import toys
from tests.data.mixing.mixes import assert_same, png

NUM_SHARDS, PER_SHARD = 8, 5
pytestmark = [
    pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:This DataLoader will create:UserWarning"),
]


def write(folder: Path) -> shards.Index:
    """Noise, so that a shard has about 60 kB whatever the compression."""

    def record(i):
        pixels = np.random.default_rng(i).bytes(12_000)
        return Record(png(i) + pixels, 40, 20, "toy", f"toy:{i}", caption="a red star")

    written = shard_writer.write_set(
        (record(i) for i in range(NUM_SHARDS * PER_SHARD)), folder, "train/toy", PER_SHARD
    )
    shards.write_index(folder, {"train/toy": written}, {}, {})
    return shards.read_index(str(folder))


def upload(folder: Path, uri: str) -> shards.Index:
    with storage.staged_directory(uri) as stage:
        for name in storage.list_files(folder):
            storage.write_bytes(stage / name, (folder / name).read_bytes())
    return shards.read_index(uri)


def mixture(index: shards.Index, cache: ShardCache | None = None, workers: int = 0) -> Mixture:
    stream = Stream("img", ("train/toy",), 4, boxes=False, captions=True)
    cache = cache or ShardCache()
    where = {"cache_folder": cache.folder, "cache_gigabytes": cache.limit_bytes / 1e9}
    return Mixture(
        index,
        toys.toy_vocabulary(),
        (stream,),
        MixingConfig(workers=workers, window_shards=2, **where),
        image_size=32,
        seed=0,
    )


def held(folder: Path) -> int:
    """Bytes of shards in the folder, complete ones and those that are being fetched."""
    sizes = []
    for path in (*folder.glob("*.tar"), *folder.glob("*.part")):
        try:
            sizes.append(path.stat().st_size)
        except FileNotFoundError:
            continue
    return sum(sizes)


class Watch:
    """The most that a folder held while the block ran."""

    def __init__(self, folder: Path):
        self.folder, self.most, self.ended = folder, 0, threading.Event()
        self.thread = threading.Thread(target=self._watch)

    def _watch(self):
        while not self.ended.wait(0.002):
            self.most = max(self.most, held(self.folder))

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_error):
        self.ended.set()
        self.thread.join()


# Local shards


def test_a_large_local_shard_is_checked_once_on_a_machine(tmp_path, monkeypatch):
    monkeypatch.setattr(shard_cache, "TABLE_FROM_BYTES", 1)
    index = write(tmp_path / "shards")
    shard, cache = index.shards("train/toy")[0], ShardCache(str(tmp_path / "cache"))
    first = shards.ShardReader(index.location, shard, cache).read(3)
    checks = []
    monkeypatch.setattr(shard_cache, "_check", lambda *arguments: checks.append(arguments))
    again = shards.ShardReader(index.location, shard, cache)
    assert (again.read(3).image, again.read(3).image_id) == (first.image, "toy:3")
    assert isinstance(again.table, np.memmap), "shared by all workers, not a copy in each"
    assert checks == []


def test_a_changed_local_shard_is_checked_again(tmp_path, monkeypatch):
    monkeypatch.setattr(shard_cache, "TABLE_FROM_BYTES", 1)
    index = write(tmp_path / "shards")
    shard, cache = index.shards("train/toy")[0], ShardCache(str(tmp_path / "cache"))
    shards.ShardReader(index.location, shard, cache)
    path = tmp_path / "shards" / shard.path
    content = bytearray(path.read_bytes())
    content[700] ^= 1
    path.write_bytes(content)
    os.utime(path, ns=(1, 1))
    with pytest.raises(ValueError, match=r"000000\.tar is corrupt"):
        shards.ShardReader(index.location, shard, cache)


def test_a_small_shard_leaves_nothing_behind(tmp_path):
    index = write(tmp_path / "shards")
    shards.ShardReader(
        index.location, index.shards("train/toy")[0], ShardCache(str(tmp_path / "cache"))
    ).read(0)
    assert not (tmp_path / "cache").exists()


# Streaming


@pytest.mark.s3
def test_streaming_gives_the_same_batches_within_the_bounds(tmp_path, s3):
    """Room for three of eight shards, three processes and two runs that share the folder."""
    local = write(tmp_path / "shards")
    expected = [mixture(local)[step] for step in range(20)]
    index = upload(tmp_path / "shards", f"{s3.uri}/shards")
    largest = max(shard.size_bytes for shard in index.shards("train/toy"))
    cache = ShardCache(str(tmp_path / "cache"), 3 * largest)
    with Watch(tmp_path / "cache") as watch:
        for batch, other in zip(
            Loader(mixture(index, cache, workers=3), 20), expected, strict=True
        ):
            assert_same(batch, other)
    assert largest < watch.most <= 3 * largest
    left = {path.suffix for path in (tmp_path / "cache").iterdir() if path.is_file()}
    assert left == {".tar", ".npy", ""}, "only complete shards, their tables and the lock"
    resumed = Loader(mixture(index, cache, workers=1), 20)
    resumed.load_state_dict({"step": 13})
    for batch, other in zip(resumed, expected[13:], strict=True):
        assert_same(batch, other)


@pytest.mark.s3
def test_nothing_is_fetched_twice_and_nothing_long_before_it_is_needed(tmp_path, s3, monkeypatch):
    index = upload(write(tmp_path / "shards") and tmp_path / "shards", f"{s3.uri}/shards")
    fetched = []
    download = storage.download
    monkeypatch.setattr(
        storage, "download", lambda name, part: (fetched.append(name), download(name, part))
    )
    made = mixture(index, ShardCache(str(tmp_path / "cache")))
    made[0]
    deadline = time.monotonic() + 30
    while len(fetched) < 4 and time.monotonic() < deadline:
        time.sleep(0.01)
    time.sleep(0.1)
    assert len(fetched) == 4, (
        "the window that is read, and the next one, which nobody waits for yet"
    )
    for step in range(10, 40):
        made[step]
    assert len(fetched) == len(set(fetched)) == NUM_SHARDS


@pytest.mark.s3
@pytest.mark.slow
def test_a_server_that_is_away_is_waited_for(tmp_path, s3):
    local = write(tmp_path / "shards")
    expected = [mixture(local)[step] for step in range(6)]
    index = upload(tmp_path / "shards", f"{s3.uri}/shards")
    loader = Loader(mixture(index, ShardCache(str(tmp_path / "cache")), workers=1), 6)
    s3.store.stop()
    # The loader is in the thread: the server would end with the thread that started it.
    with ThreadPoolExecutor(1) as pool:
        made = pool.submit(list, loader)
        time.sleep(2)
        assert not made.done()
        s3.store.start()
        for batch, other in zip(made.result(timeout=120), expected, strict=True):
            assert_same(batch, other)


@pytest.mark.s3
@pytest.mark.parametrize("workers", [0, 1])
def test_a_shard_that_vanished_is_named_in_one_line(tmp_path, s3, workers):
    write(tmp_path / "shards")
    index = upload(tmp_path / "shards", f"{s3.uri}/shards")
    for shard in index.shards("train/toy"):
        storage.remove(f"{index.location}/{shard.path}")
    with pytest.raises(FileNotFoundError, match=rf"^{s3.uri}/shards/train/toy/0+\d\.tar .*[^\n]$"):
        list(Loader(mixture(index, ShardCache(str(tmp_path / "cache")), workers), 2))
    assert held(tmp_path / "cache") == 0


@pytest.mark.s3
def test_a_corrupt_shard_is_refused_and_not_kept(tmp_path, s3):
    write(tmp_path / "shards")
    index = upload(tmp_path / "shards", f"{s3.uri}/shards")
    shard = index.shards("train/toy")[0]
    content = bytearray((tmp_path / "shards" / shard.path).read_bytes())
    content[700] ^= 1
    storage.write_bytes(f"{index.location}/{shard.path}", bytes(content))
    with pytest.raises(ValueError, match=r"s3://\S+000000\.tar is corrupt"):
        shards.ShardReader(index.location, shard, ShardCache(str(tmp_path / "cache")))
    assert held(tmp_path / "cache") == 0


@pytest.mark.s3
def test_a_cache_too_small_for_a_shard_is_refused(tmp_path, s3):
    write(tmp_path / "shards")
    index = upload(tmp_path / "shards", f"{s3.uri}/shards")
    with pytest.raises(
        ValueError,
        match=r"000000\.tar .* 1000: .*mixing\.cache_gigabytes",
    ):
        shards.ShardReader(
            index.location, index.shards("train/toy")[0], ShardCache(str(tmp_path / "cache"), 1000)
        )


# What killed processes leave


def _killed_while_fetching(folder: str, location: str, shard: shards.Shard) -> None:
    storage.download = lambda _name, part: (part.write_bytes(b"x" * 1000), os._exit(9))
    ShardCache(folder, shard.size_bytes).open(
        f"{location}/{shard.path}", shard.size_bytes, shard.sha256
    )


def test_what_a_killed_process_left_makes_room(tmp_path, monkeypatch):
    """The cache has room for one shard, and a killed process had reserved it."""
    index = write(tmp_path / "shards")
    first, second = index.shards("train/toy")[:2]
    process = multiprocessing.get_context("fork").Process(
        target=_killed_while_fetching, args=(str(tmp_path / "cache"), index.location, first)
    )
    process.start()
    process.join()
    assert process.exitcode == 9
    assert len(list((tmp_path / "cache").glob("*.room"))) == 1
    monkeypatch.setattr(
        storage, "download", lambda name, part: part.write_bytes(Path(name).read_bytes())
    )
    cache = ShardCache(str(tmp_path / "cache"), max(first.size_bytes, second.size_bytes))
    started = time.monotonic()
    with cache.open(f"{index.location}/{second.path}", second.size_bytes, second.sha256) as file:
        assert file.read() == (tmp_path / "shards" / second.path).read_bytes()
    assert time.monotonic() - started < 20
    assert [path.stem for path in (tmp_path / "cache").glob("*.tar")] == [second.sha256]
    assert (
        list((tmp_path / "cache").glob("*.room")) == list((tmp_path / "cache").glob("*.part")) == []
    )


def test_the_shard_used_longest_ago_makes_room(tmp_path, monkeypatch):
    index = write(tmp_path / "shards")
    monkeypatch.setattr(
        storage, "download", lambda name, part: part.write_bytes(Path(name).read_bytes())
    )
    monkeypatch.setattr(shard_cache, "_TOUCH_SECONDS", 0)
    a, b, c = index.shards("train/toy")[:3]
    cache = ShardCache(str(tmp_path / "cache"), max(s.size_bytes for s in (a, b, c)) * 2)
    for shard in (a, b, a, c):
        cache.open(f"{index.location}/{shard.path}", shard.size_bytes, shard.sha256).close()
        time.sleep(0.02)
    assert {path.stem for path in (tmp_path / "cache").glob("*.tar")} == {a.sha256, c.sha256}


def test_a_process_that_adds_up_sizes_finds_either_the_shard_or_its_room(tmp_path, monkeypatch):
    """Between the two, another process would count neither and fetch one shard too many."""
    index = write(tmp_path / "shards")
    shard, folder = index.shards("train/toy")[0], tmp_path / "cache"
    cache, is_fetched, lock = ShardCache(str(folder)), threading.Event(), contextlib.ExitStack()

    def download(name, part):
        lock.enter_context(shard_cache._locked(folder / "lock"))  # as a process that adds up sizes
        part.write_bytes(Path(name).read_bytes())
        is_fetched.set()

    monkeypatch.setattr(storage, "download", download)
    with ThreadPoolExecutor(1) as pool, lock:
        fetch = pool.submit(
            cache.open, f"{index.location}/{shard.path}", shard.size_bytes, shard.sha256
        )
        assert is_fetched.wait(30)
        time.sleep(0.2)
        assert {path.suffix for path in folder.glob(f"{shard.sha256}*")} - {".npy"} == {
            ".part",
            ".room",
        }
        lock.close()
        fetch.result(30).close()
    assert {path.suffix for path in folder.glob(f"{shard.sha256}*")} == {".tar", ".npy"}


def test_a_record_that_another_process_removes_meanwhile_is_no_error(tmp_path, monkeypatch):
    monkeypatch.setattr(shard_cache, "_MAX_TABLES", 2)
    for number in range(4):
        (tmp_path / f"{number}.npy").touch()
    real = shard_cache._written_at

    def vanishing(path):
        path.unlink()
        return real(path)

    monkeypatch.setattr(shard_cache, "_written_at", vanishing)
    shard_cache._trim(tmp_path)
    assert list(tmp_path.iterdir()) == []
