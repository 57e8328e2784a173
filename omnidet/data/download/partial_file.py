"""A file during its download: what has arrived, where it comes from, and whether it is right."""

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
    """A file that was fetched and checked."""

    url: str
    size_bytes: int
    sha256: str


class TransferError(OSError):
    """A file could not be fetched, or is not the right one. One line with its name and a remedy."""


class GiveUpError(Exception):
    """This mirror cannot provide the file: try the next."""


class TryAgainError(Exception):
    """The same request may succeed later. `wait_seconds` is what the server asked for."""

    def __init__(self, problem: str, wait_seconds: float | None = None) -> None:
        super().__init__(problem)
        self.wait_seconds = wait_seconds


def file_hashes(path: Path) -> tuple[int, str, str]:
    """Size, SHA-256 and MD5 of a local file, read once."""
    sha256, md5 = hashlib.sha256(), hashlib.md5(usedforsecurity=False)
    size = 0
    with path.open("rb") as file:
        while chunk := file.read(CHUNK_BYTES):
            size += len(chunk)
            sha256.update(chunk)
            md5.update(chunk)
    return size, sha256.hexdigest(), md5.hexdigest()


def size_mismatch(file: RemoteFile, size: int) -> str | None:
    """How the size differs from the catalogue's or the lock's, or None."""
    if file.size_bytes is not None and size != file.size_bytes:
        return f"it has {size} bytes, expected {file.size_bytes}"
    return None


def mismatch(file: RemoteFile, size: int, sha256: str, md5: str) -> str | None:
    """How the content differs from the catalogue's or the lock's, or None."""
    if problem := size_mismatch(file, size):
        return problem
    if file.sha256 and sha256 != file.sha256:
        return f"its SHA-256 is {sha256}, expected {file.sha256}"
    if file.md5 and md5 != file.md5:
        return f"its MD5 is {md5}, expected {file.md5}"
    return None


class PartialFile:
    """What has arrived, `<target>.part`, and where it comes from, `<target>.part.json`."""

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
        except (OSError, ValueError, KeyError, TypeError):
            pass
        if not self.validator and not (file.sha256 or file.md5):
            self.clear()  # nothing could tell whether the rest belongs to the same file
        self.reported = 0
        self._report()

    @property
    def size(self) -> int:
        """Number of bytes that have arrived."""
        return self.path.stat().st_size if self.path.exists() else 0

    def clear(self) -> None:
        """Start over."""
        self.path.unlink(missing_ok=True)
        self.record.unlink(missing_ok=True)
        self.validator = ""

    def begin(self, validator: str) -> None:
        """Record which version of the file is being fetched."""
        self.validator = validator
        storage.write_text(self.record, json.dumps({"url": self.url, "validator": validator}))

    def write(self, chunks: Iterator[bytes], append: bool) -> None:
        """Write what arrives. Each chunk is in the file before the next one is requested."""
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
            while rest:  # a disk takes what fits, and fails only at the next byte
                rest = rest[out.write(rest) :]
        except OSError as error:
            message = (
                f"{self.path} cannot be written ({error.strerror}): "
                "free some space, and run again to resume"
            )
            raise OSError(error.errno, message) from error

    def publish(self) -> Fetched:
        """Check the whole file and move it into place."""
        size, sha256, md5 = file_hashes(self.path)
        problem = mismatch(self.file, size, sha256, md5)
        if problem:
            self.clear()
            self._report()
            raise GiveUpError(f"{problem} (what arrived was discarded)")
        with self.path.open("rb") as file:
            os.fsync(file.fileno())
        self.path.replace(self.target)
        self.record.unlink(missing_ok=True)
        return Fetched(self.url, size, sha256)

    def _report(self) -> None:
        self.progress(self.size - self.reported)
        self.reported = self.size


def require_room(more_bytes: int, part: PartialFile) -> None:
    """Raise TransferError if the disk has not enough room for so many more bytes."""
    free = shutil.disk_usage(part.target.parent).free
    if more_bytes > free:
        raise TransferError(
            f"{part.file.name} needs {more_bytes / 1e6:,.0f} MB more, "
            f"{part.target.parent} has {free / 1e6:,.0f} MB: free some space"
        )
