"""An archive from the web -> files in a folder, and nothing anywhere else.

Reads zip, tar and gzipped tar. Refused are names that lead out of the folder, links, devices,
duplicate members, decompression bombs, and encrypted or truncated archives. What was written before
the refusal is removed. Nothing that an archive states is trusted: sizes are counted as they are
written.
"""

from __future__ import annotations

import gzip
import shutil
import stat
import struct
import tarfile
import unicodedata
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO

from omnidet.data.reading import tar_headers
from omnidet.data.reading.tar_headers import BLOCK_BYTES, CarefulStream

CHUNK_BYTES = 1 << 20
MAX_NAME_BYTES = 1024
MAX_PART_BYTES = 255
MAX_HEADER_BYTES = 1 << 20
"""Largest header of a tar: a long name, which has a header of its own, can claim any length."""
_DAMAGE = (
    zipfile.BadZipFile,
    tarfile.TarError,
    zlib.error,
    gzip.BadGzipFile,
    EOFError,
    NotImplementedError,
    OverflowError,
    UnicodeDecodeError,
    RuntimeError,
    LookupError,
    struct.error,
)
"""What the readers raise on damaged archives."""
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_SKIPPED = ("__MACOSX", ".DS_Store")
"""What macOS adds to every archive."""


@dataclass(frozen=True)
class Limits:
    """What an archive may hold. COCO train2017, the largest known, holds 118,287 images, 19 GB."""

    max_members: int = 1_000_000
    max_bytes: int = 400_000_000_000
    max_ratio: float = 60.0
    """Unpacked to packed size of the whole archive. JSON annotation files stay far below."""
    free_ratio_bytes: int = 100_000_000
    """Up to this unpacked size any ratio is accepted: a short file of zeros is not a bomb."""


@dataclass(frozen=True)
class Member:
    """A file that was unpacked."""

    name: str
    """Path relative to the folder, with slashes."""
    size_bytes: int


class _Budget:
    """What is left of the limits."""

    def __init__(self, archive: Path, limits: Limits) -> None:
        self.archive, self.limits = archive, limits
        self.packed = archive.stat().st_size
        self.members = 0
        self.bytes = 0
        self.names: set[str] = set()

    def refuse(self, problem: str) -> ValueError:
        return ValueError(
            f"{self.archive} {problem}: it is not unpacked; fetch it from a source that you trust"
        )

    def take_name(self, name: str, is_folder: bool) -> str:
        """The name as a relative path.

        Raises ValueError if it leads out of the folder, or is the name of an earlier member.
        """
        self.members += 1
        if self.members > self.limits.max_members:
            raise self.refuse(f"holds more than {self.limits.max_members} members")
        path = PurePosixPath(name)
        if (
            not name
            or "\0" in name
            or "\\" in name
            or path.is_absolute()
            or ".." in path.parts
            or ":" in (path.parts or ("",))[0]
            or len(name.encode("utf-8", "surrogateescape")) > MAX_NAME_BYTES
            or any(
                len(part.encode("utf-8", "surrogateescape")) > MAX_PART_BYTES for part in path.parts
            )
            or any(unicodedata.category(letter) == "Cc" for letter in name)
        ):
            raise self.refuse(
                f"has a member named {name[:200]!r}, which leads out of the folder or is not valid"
            )
        plain = path.as_posix()
        if not is_folder:
            if plain in self.names:
                raise self.refuse(f"has the member {plain[:200]!r} twice")
            self.names.add(plain)
        return plain

    def take_bytes(self, count: int) -> None:
        self.bytes += count
        if self.bytes > self.limits.max_bytes:
            raise self.refuse(f"unpacks to more than {self.limits.max_bytes} bytes")
        if self.bytes > max(self.limits.free_ratio_bytes, self.limits.max_ratio * self.packed):
            raise self.refuse(
                f"of {self.packed} bytes unpacks to more than {self.bytes - count}, "
                "which looks like a decompression bomb"
            )


def is_archive(name: str) -> bool:
    """Whether the name is that of an archive which `unpack` can read."""
    return name.lower().endswith((".zip", ".tar", ".tar.gz", ".tgz"))


def unpack(
    archive: Path,
    folder: Path,
    limits: Limits | None = None,
    progress: Callable[[int], None] = lambda _: None,
) -> list[Member]:
    """Unpack into a new folder. Files get the mode of any new file.

    Raises ValueError that names the archive and its fault, and removes the folder.

    Args:
        progress: called with the number of further bytes written.
    """
    budget = _Budget(archive, limits or Limits())
    name = archive.name.lower()
    folder.mkdir(parents=True)
    try:
        if name.endswith(".zip"):
            members = _unpack_zip(archive, budget)
        elif is_archive(name):
            members = _unpack_tar(archive, budget)
        else:
            raise ValueError(
                f"{archive} cannot be unpacked: its name ends in none of .zip, .tar, .tar.gz, .tgz"
            )
        return [_write(folder, name, content, budget, progress) for name, content in members]
    except _DAMAGE as error:
        shutil.rmtree(folder)
        reason = " ".join(str(error).split())
        message = f"{archive} is truncated or damaged ({reason}): fetch it again"
        raise ValueError(message) from error
    except OSError as error:
        shutil.rmtree(folder)
        if error.filename is None:  # a failed write does not name its file
            message = f"{archive} cannot be unpacked into {folder.parent}: {error.strerror}"
            raise OSError(error.errno, message) from error
        raise
    except BaseException:
        shutil.rmtree(folder)
        raise


def _write(
    folder: Path, name: str, content: IO[bytes], budget: _Budget, progress: Callable[[int], None]
) -> Member:
    target = folder / name
    size = 0
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with content, target.open("xb") as out:
            while chunk := content.read(CHUNK_BYTES):
                budget.take_bytes(len(chunk))
                out.write(chunk)
                size += len(chunk)
                progress(len(chunk))
    except (FileExistsError, NotADirectoryError) as error:
        raise budget.refuse(f"has {name[:200]!r} both as a file and as a folder") from error
    return Member(name, size)


def _unpack_zip(archive: Path, budget: _Budget) -> Iterator[tuple[str, IO[bytes]]]:
    with zipfile.ZipFile(archive) as opened:
        infos = opened.infolist()
        if len(infos) > budget.limits.max_members:
            raise budget.refuse(f"holds {len(infos)} members")
        # Members that share their packed bytes make a small file unpack to any size
        # (https://www.bamsoftware.com/hacks/zipbomb/).
        if sum(info.compress_size for info in infos) > budget.packed:
            raise budget.refuse("has members that overlap")
        for info in infos:
            name = budget.take_name(info.filename.rstrip("/"), info.filename.endswith("/"))
            kind = stat.S_IFMT(info.external_attr >> 16)
            if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
                raise budget.refuse(f"contains a link or a device ({name[:200]!r})")
            if not 0 <= info.header_offset < budget.packed:
                raise zipfile.BadZipFile(f"{name[:200]!r} begins outside the archive")
            if info.flag_bits & 1:
                raise budget.refuse(f"contains an encrypted member ({name[:200]!r})")
            if info.compress_type not in _METHODS:
                raise budget.refuse(
                    f"uses the compression method {info.compress_type} for {name[:200]!r}"
                )
            if not info.filename.endswith("/") and not _is_skipped(name):
                yield name, opened.open(info)


def _unpack_tar(archive: Path, budget: _Budget) -> Iterator[tuple[str, IO[bytes]]]:
    with archive.open("rb") as file:
        zipped = file.read(2) == b"\x1f\x8b"
        file.seek(0)
        plain = CarefulStream(
            gzip.GzipFile(fileobj=file) if zipped else file, MAX_HEADER_BYTES, budget.refuse
        )
        with tarfile.open(fileobj=plain, mode="r:") as opened:
            for member in tar_headers.members(opened):
                # Otherwise every header stays in memory.
                opened.members = []  # type: ignore[attr-defined]
                name = member.name.rstrip("/")
                if name in (".", ""):
                    continue
                name = budget.take_name(name.removeprefix("./"), member.isdir())
                if member.isdir():
                    continue
                if not member.isreg() or member.issparse():
                    raise budget.refuse(
                        f"contains a link, a device or a sparse file ({name[:200]!r})"
                    )
                content = opened.extractfile(member)
                if content is not None and not _is_skipped(name):
                    yield name, content
        # Python's reader takes a broken header for the end of the archive.
        if plain.last_block != bytes(BLOCK_BYTES):
            raise tarfile.ReadError("no end of archive")
        while rest := plain.read(BLOCK_BYTES):  # to the end, where gzip has its checksum
            budget.take_bytes(len(rest))


def _is_skipped(name: str) -> bool:
    parts = PurePosixPath(name).parts
    return parts[0] in _SKIPPED or parts[-1] in _SKIPPED
