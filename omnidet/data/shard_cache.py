"""Shards at hand: each is checked once per machine, and those of an object store are cached.

The cache is a folder of bounded size. A shard in it is named by its hash, so it is never out of
date. Any number of processes share the folder: one fetches a shard while the others that want it
wait, and the least recently used shard is removed to make room. A file with the name of a shard is
complete.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import sys
import tarfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np

from omnidet import storage
from omnidet.data.reading import tar_headers
from omnidet.data.reading.tar_headers import CarefulStream
from omnidet.schema import IntArray

TABLE_FROM_BYTES = 16_000_000
"""Local shards from this size on leave a record of the check; others are quickly rechecked."""
_MAX_TABLES = 10_000
_MAX_HEADER_BYTES = 1 << 20
_TOUCH_SECONDS = 2.0
_POLL_SECONDS = 0.05


@dataclass(frozen=True)
class ShardCache:
    """Where shards of an object store are kept, and how many bytes of them at most."""

    folder: str = ".cache/shards"
    limit_bytes: int = 50_000_000_000
    patience_seconds: float = 120.0
    """How long to wait for an object store that does not answer."""

    def checked(self, path: Path, name: str, size_bytes: int, sha256: str) -> IntArray:
        """The members of a local shard, as `members` gives them; its content is that of the index.

        Reading a whole shard to check it costs a worker more than reading its share of the images.
        So the first process on a machine leaves a record, which is valid for exactly this file.
        """
        state = path.stat()
        key = f"{sha256}-{state.st_size}-{state.st_mtime_ns}-{state.st_ino}.npy"
        record = Path(self.folder, "tables", key)
        if state.st_size >= TABLE_FROM_BYTES and record.is_file():
            with contextlib.suppress(OSError, ValueError):
                return _load(record)
        table = _check(path, name, size_bytes, sha256)
        if state.st_size >= TABLE_FROM_BYTES:
            with contextlib.suppress(OSError):  # a read-only folder: each process checks for itself
                _save(record, table)
                _trim(record.parent)
        return table

    def table(self, name: str, size_bytes: int, sha256: str) -> IntArray:
        """The members of a shard of an object store. Raises what `open` raises."""
        record = Path(self.folder, f"{sha256}.npy")
        if record.is_file():
            with contextlib.suppress(OSError, ValueError):
                return _load(record)
        with self.open(name, size_bytes, sha256) as file:
            table = members(file)
        _save(record, table)
        return table

    def open(self, name: str, size_bytes: int, sha256: str) -> BinaryIO:
        """Open a shard of an object store for reading, and fetch it first if it is not cached.

        Raises FileNotFoundError, ConnectionError or ValueError with one line that names the shard.
        """
        path = Path(self.folder, f"{sha256}.tar")
        try:
            file = path.open("rb")
        except FileNotFoundError:
            return self._fetch(name, size_bytes, sha256, path)
        state = os.fstat(file.fileno())
        if state.st_size != size_bytes:  # the file was changed
            file.close()
            path.unlink(missing_ok=True)
            return self._fetch(name, size_bytes, sha256, path)
        if time.time() - state.st_mtime > _TOUCH_SECONDS:
            with contextlib.suppress(FileNotFoundError):
                os.utime(path)
        return file

    def _fetch(self, name: str, size_bytes: int, sha256: str, path: Path) -> BinaryIO:
        if size_bytes > self.limit_bytes:
            raise ValueError(
                f"{name} has {size_bytes} bytes, more than the cache's {self.limit_bytes}: "
                "raise mixing.cache_gigabytes"
            )
        with _locked(self._lock_of(sha256)):
            if path.is_file():  # another process was faster
                with contextlib.suppress(FileNotFoundError):
                    return path.open("rb")
            part, room = path.with_suffix(".part"), path.with_suffix(".room")
            try:
                self._make_room(room, size_bytes)
                self._download(name, part)
                table = _check(part, name, size_bytes, sha256)
                _save(path.with_suffix(".npy"), table)
                file = part.open("rb")  # before another process can remove it
                # A process that adds up sizes finds either the shard or its reserved room.
                with _locked(Path(self.folder, "lock")):
                    part.replace(path)
                    room.unlink()
                return file
            finally:
                with _locked(Path(self.folder, "lock")):
                    part.unlink(missing_ok=True)
                    room.unlink(missing_ok=True)

    def _download(self, name: str, part: Path) -> None:
        """Download the shard, waiting for a server that is away.

        The client repeats each request for about 20 s; this waits longer.
        """
        deadline, wait = 0.0, 1.0
        while True:
            try:
                storage.download(name, part)
            except FileNotFoundError:
                message = f"{name} does not exist though the index names it: build the shards again"
                raise FileNotFoundError(message) from None
            except ConnectionError as error:
                deadline = deadline or time.monotonic() + self.patience_seconds
                if time.monotonic() > deadline:
                    raise
                print(f"{error}; trying again", file=sys.stderr, flush=True)
                time.sleep(wait)
                wait = min(2 * wait, 15.0)
            else:
                return

    def _make_room(self, room: Path, size_bytes: int) -> None:
        """Reserve the bytes with a file of that size; wait while downloads fill the cache."""
        folder = Path(self.folder)
        while True:
            with _locked(folder / "lock"):
                self._remove_stale(folder)
                held = sorted((p.stat().st_mtime, p) for p in folder.glob("*.tar"))
                used = sum(
                    p.stat().st_size for p in (*(p for _, p in held), *folder.glob("*.room"))
                )
                for _, oldest in held:
                    if used + size_bytes <= self.limit_bytes:
                        break
                    used -= oldest.stat().st_size
                    oldest.unlink()
                    oldest.with_suffix(".npy").unlink(missing_ok=True)
                if used + size_bytes <= self.limit_bytes:
                    with room.open("wb") as file:
                        file.truncate(size_bytes)
                    return
            time.sleep(_POLL_SECONDS)

    def _remove_stale(self, folder: Path) -> None:
        """Remove what killed processes left: their locks are free."""
        for left in (*folder.glob("*.room"), *folder.glob("*.part")):
            with _locked(self._lock_of(left.stem), wait=False) as is_free:
                if is_free:
                    left.unlink(missing_ok=True)

    def _lock_of(self, sha256: str) -> Path:
        """One of 4,096 files, because locks are never removed."""
        return Path(self.folder, "locks", sha256[:3])


def members(file: BinaryIO) -> IntArray:
    """Where each sample of a shard is (n, 4): offset and length of its annotation and its image.

    Raises ValueError if the file is not a tar, or its members are not pairs.
    """
    careful = CarefulStream(file, _MAX_HEADER_BYTES, tarfile.ReadError)
    try:
        with tarfile.open(fileobj=careful, mode="r:") as tar:
            files = (m for m in tar_headers.members(tar) if m.isfile())
            found = [(m.name.rpartition(".")[2] == "json", m.offset_data, m.size) for m in files]
    except tar_headers.ERRORS as error:
        raise ValueError(f"it is not a tar: {error}") from error
    annotations = [(offset, length) for is_json, offset, length in found if is_json]
    images = [(offset, length) for is_json, offset, length in found if not is_json]
    if len(annotations) != len(images):
        raise ValueError(f"it holds {len(images)} images and {len(annotations)} annotations")
    return np.array([(*a, *b) for a, b in zip(annotations, images, strict=True)], np.int64).reshape(
        -1, 4
    )


def _check(path: Path, name: str, size_bytes: int, sha256: str) -> IntArray:
    with path.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        if size != size_bytes or hashlib.file_digest(file, "sha256").hexdigest() != sha256:
            raise ValueError(
                f"{name} is corrupt ({size} bytes, its hash is not the index's): "
                "build the shards again"
            )
        file.seek(0)
        try:
            return members(file)
        except ValueError as error:
            raise ValueError(f"{name} is not a shard ({error}): build it again") from error


def _load(record: Path) -> IntArray:
    """Map a table instead of reading it: all workers share the pages of the file."""
    table: IntArray = np.load(record, mmap_mode="r")
    return table


def _save(record: Path, table: IntArray) -> None:
    record.parent.mkdir(parents=True, exist_ok=True)
    temporary = record.with_name(f".{record.name}.{os.getpid()}")
    with temporary.open("wb") as file:
        np.save(file, table)
    temporary.replace(record)


def _trim(folder: Path) -> None:
    """Remove the oldest records of too many; other processes may do the same."""
    records = list(folder.glob("*.npy"))
    if len(records) > _MAX_TABLES:
        for old in sorted(records, key=_written_at)[: _MAX_TABLES // 2]:
            old.unlink(missing_ok=True)


def _written_at(path: Path) -> float:
    """0 for what has vanished."""
    try:
        return path.stat().st_mtime
    except FileNotFoundError:
        return 0.0


@contextlib.contextmanager
def _locked(path: Path, wait: bool = True) -> Iterator[bool]:
    """Hold the lock file; without `wait`, yield whether it is held. A kill frees the lock."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
            return
        yield True
