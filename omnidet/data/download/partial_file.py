"""A file on its way: what has come so far, from where, and whether it is what it should be."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from io import FileIO
from pathlib import Path

from omnidet import storage
from omnidet.data.download.catalogue import RemoteFile

CHUNK_BYTES = 1 << 18


@dataclass(frozen=True)
class Fetched:
    """A file that is there and has been checked."""

    url: str
    size_bytes: int
    sha256: str


class TransferError(OSError):
    """A file could not be had, or is not what it should be; one line that names it and says what to do."""


class GiveUpError(Exception):
    """This mirror will not do: try the next."""


class AgainError(Exception):
    """The same request may succeed later; `wait_seconds` is what the server asked for."""

    def __init__(self, problem: str, wait_seconds: float | None = None) -> None:
        super().__init__(problem)
        self.wait_seconds = wait_seconds


def file_hashes(path: Path) -> tuple[int, str, str]:
    """Size, SHA-256 and MD5 of a file on disk."""
    sha256, md5 = hashlib.sha256(), hashlib.md5(usedforsecurity=False)
    size = 0
    with path.open("rb") as file:
        while chunk := file.read(CHUNK_BYTES):
            size += len(chunk)
            sha256.update(chunk)
            md5.update(chunk)
    return size, sha256.hexdigest(), md5.hexdigest()


def mismatch(file: RemoteFile, size: int, sha256: str, md5: str) -> str | None:
    """What tells the content from the catalogue's, or None."""
    if file.size_bytes is not None and size != file.size_bytes:
        return f"it has {size} bytes, expected are {file.size_bytes}"
    if file.sha256 and sha256 != file.sha256:
        return f"its SHA-256 is {sha256}, expected is {file.sha256}"
    if file.md5 and md5 != file.md5:
        return f"its MD5 is {md5}, expected is {file.md5}"
    return None


class PartialFile:
    """What has come so far, and from where: `<target>.part`, and beside it `<target>.part.json`."""

    def __init__(
        self, target: Path, file: RemoteFile, url: str, progress: Callable[[int], None]
    ) -> None:
        self.target, self.file, self.url, self.progress = target, file, url, progress
        self.path = target.with_name(f"{target.name}.part")
        self.record = target.with_name(f"{target.name}.part.json")
        target.parent.mkdir(parents=True, exist_ok=True)
        self.validator = ""
        try:
            known = json.loads(self.record.read_text(encoding="utf-8"))
            if known["url"] == url:
                self.validator = str(known["validator"])
            same = known["url"] == url and bool(self.validator)
        except (OSError, ValueError, KeyError, TypeError):
            same = False
        if not same and not (file.sha256 or file.md5):
            self.clear()
        self.reported = 0
        self._report()

    @property
    def size(self) -> int:
        """Bytes that are there."""
        return self.path.stat().st_size if self.path.exists() else 0

    def clear(self) -> None:
        """Begin anew."""
        self.path.unlink(missing_ok=True)
        self.record.unlink(missing_ok=True)
        self.validator = ""

    def begin(self, validator: str) -> None:
        """Note what version of the file is being fetched."""
        self.validator = validator
        storage.write_text(self.record, json.dumps({"url": self.url, "validator": validator}))

    def write(self, chunks: Iterator[bytes], append: bool) -> None:
        """Add what comes; every chunk is in the file (not in this process) before the next is asked for."""
        if not append:
            self.path.unlink(missing_ok=True)
        self._report()
        with self.path.open("ab", buffering=0) as out:
            for chunk in chunks:
                self._write(out, chunk)
                self.reported += len(chunk)
                self.progress(len(chunk))

    def _write(self, out: FileIO, chunk: bytes) -> None:
        rest = memoryview(chunk)
        try:
            while rest:  # a disk takes what it has room for, and fails only at the next byte
                rest = rest[out.write(rest) :]
        except OSError as error:
            told = f"{self.path} cannot be written ({error.strerror}): make room, and run again to go on"
            raise OSError(error.errno, told) from error

    def publish(self) -> Fetched:
        """Check the whole and move it into place."""
        size, sha256, md5 = file_hashes(self.path)
        problem = mismatch(self.file, size, sha256, md5)
        if problem:
            self.clear()
            self._report()
            raise GiveUpError(f"{problem} (what came was thrown away)")
        with self.path.open("rb") as file:
            os.fsync(file.fileno())
        self.path.replace(self.target)
        self.record.unlink(missing_ok=True)
        return Fetched(self.url, size, sha256)

    def _report(self) -> None:
        self.progress(self.size - self.reported)
        self.reported = self.size


def require_room(more_bytes: int, part: PartialFile) -> None:
    free = shutil.disk_usage(part.target.parent).free
    if more_bytes > free:
        raise TransferError(
            f"{part.file.name} needs {more_bytes / 1e6:,.0f} MB more, {part.target.parent} has {free / 1e6:,.0f} MB: make room"
        )
