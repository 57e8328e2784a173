"""One way to read, list and atomically write local paths and `s3://bucket/key` URIs.

    storage ──local path──▶ local_files, local_folders
       └─────s3:// URI────▶ object_store, object_folders ──▶ s3_client

`docs/storage.md` lists the environment variables of the object store. Whole folders are written
with `staged_directory`: if the process is killed, readers find the old folder, the new one or (on
an object store) none, but never a part of one.
"""

from __future__ import annotations

import errno
import hashlib
import os
import stat
import tempfile
from collections.abc import Collection, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Protocol

from omnidet import local_files, local_folders

Location = str | os.PathLike[str]
"""A local path or an `s3://bucket/key` URI."""

INDEX_NAME = "index.json"
"""The file that marks a folder as whole. On an object store it is written last and read first."""


class _Backend(Protocol):
    """What `local_files` and `object_store` both offer; the functions below document it."""

    def exists(self, location: str) -> bool: ...
    def size(self, location: str) -> int | None: ...
    def read_bytes(self, location: str, offset: int, length: int | None) -> bytes: ...
    def write_bytes(self, location: str, content: bytes) -> None: ...
    def write_bytes_if_absent(self, location: str, content: bytes) -> bool: ...
    def list_files(self, location: str) -> list[str]: ...
    def has_files(self, location: str) -> bool: ...
    def list_folders(self, location: str) -> list[str]: ...


def _backend(location: Location) -> _Backend:
    if is_s3(location):
        from omnidet import object_store  # only where it is needed: it takes 0.2 s

        return object_store
    return local_files


def is_s3(location: Location) -> bool:
    """Whether the location is an object store URI."""
    return str(location).startswith("s3://")


def join(location: Location, *parts: str) -> str:
    """The location of something inside a folder.

    As in `os.path.join`, an absolute part replaces all before it.
    """
    for i, part in enumerate(parts):
        if part.startswith(("/", "s3://")):
            return join(part, *parts[i + 1 :])
    return "/".join([str(location).rstrip("/"), *parts]) if parts else str(location)


def exists(location: Location) -> bool:
    """Whether there is a file or object at the location. A folder counts only if it is local."""
    return _backend(location).exists(str(location))


def size(location: Location) -> int | None:
    """Size of the file or object in bytes, or None if it does not exist."""
    return _backend(location).size(str(location))


def sha256(path: Path) -> str:
    """Hexadecimal SHA-256 of a local file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def read_bytes(location: Location, offset: int = 0, length: int | None = None) -> bytes:
    """The content, or `length` bytes from `offset`.

    Raises FileNotFoundError that names the location.
    """
    return _backend(location).read_bytes(str(location), offset, length)


def read_text(location: Location) -> str:
    """The content as UTF-8 text."""
    return read_bytes(location).decode()


def write_bytes(location: Location, content: bytes) -> None:
    """Write the content so that a reader sees the old file or the whole new one, never a part."""
    _backend(location).write_bytes(str(location), content)


def write_text(location: Location, content: str) -> None:
    """Write UTF-8 text as `write_bytes` does."""
    write_bytes(location, content.encode())


def write_bytes_if_absent(location: Location, content: bytes) -> bool:
    """Write the content unless the file exists.

    If several callers write at once, exactly one gets True.
    """
    return _backend(location).write_bytes_if_absent(str(location), content)


def list_files(location: Location) -> list[str]:
    """Every file below a folder, as sorted paths relative to it.

    Empty if the folder does not exist.
    """
    return _backend(location).list_files(str(location))


def has_files(location: Location) -> bool:
    """Whether there is any file below a folder, without listing them all."""
    return _backend(location).has_files(str(location))


def list_folders(location: Location) -> list[str]:
    """Names of the visible folders directly in a folder, sorted.

    Empty if the folder does not exist.
    """
    names = _backend(location).list_folders(str(location))
    return [name for name in names if not name.startswith(".")]


def fingerprints(location: Location) -> dict[str, str]:
    """For every object below an `s3://` folder, a text that changes when its content does."""
    from omnidet import object_store

    return object_store.fingerprints(str(location))


def listing_hash(location: str, without: Sequence[str] = ()) -> str:
    """Text that changes when anything below an `s3://` folder does, but for some folders in it."""
    from omnidet import object_store

    return object_store.listing_hash(location, [place for place in without if is_s3(place)])


def upload(path: Path, location: Location) -> None:
    """Upload a local file to an object store. Readers see the old object or the whole new one."""
    from omnidet import object_store

    object_store.upload_file(path, str(location))


def download(location: str, target: Path) -> None:
    """Download one `s3://` object to a local file, which is incomplete until this returns."""
    from omnidet import object_store

    object_store.download(location, target)


def remove(location: Location) -> None:
    """Remove a file or folder. Readers never see it half removed. Missing is not an error."""
    if is_s3(location):
        from omnidet import object_folders

        object_folders.remove(str(location), INDEX_NAME)
    else:
        local_folders.remove(str(location))


def local_copy(location: Location, cache: Location) -> Path:
    """A local path of the folder or file: itself if it is local, else a copy in `cache`.

    Files that are already in the cache are downloaded again only if the object store holds another
    version.
    """
    if is_s3(location):
        from omnidet import object_folders

        return object_folders.local_copy(str(location), Path(cache))
    if not Path(location).exists():
        raise FileNotFoundError(f"{location} does not exist")
    return Path(location)


@contextmanager
def staged_directory(location: Location) -> Iterator[Path]:
    """A new local folder that becomes `location` if the block succeeds, and vanishes if it fails.

    A local folder is moved into place. An `s3://` folder first loses its index, then gets the new
    files and the new index, and finally loses the old files that are not among the new ones.
    Meanwhile a reader finds no index, and so no folder.
    """
    if not is_s3(location):
        with local_folders.staged_directory(Path(location)) as stage:
            yield stage
        return
    from omnidet import object_folders

    list_files(location)  # a wrong bucket or key fails now, not after hours of work
    with (
        tempfile.TemporaryDirectory(prefix="omnidet-") as temporary,
        local_files.naming(temporary),
    ):
        yield Path(temporary)
        object_folders.upload_folder(Path(temporary), str(location), last=INDEX_NAME)


def replace_directory(stage: Location, location: Location) -> None:
    """Move a local folder to a place on the same file system. What was there is removed."""
    local_folders.replace_directory(Path(stage), Path(location))


def written_whole(target: Path) -> AbstractContextManager[Path]:
    """A temporary local file, with the target's ending, that takes its place if the block succeeds.

    It does not wait until the file is on disk, as `write_bytes` does: for what is easily made
    again. Raises OSError that names the target if the disk is full.
    """
    return local_files.written_whole(target)


def naming(target: Location) -> AbstractContextManager[None]:
    """Name what is being written in the error of a full disk, which says no more than that."""
    return local_files.naming(str(target))


def locked(lock: Path, busy: str) -> AbstractContextManager[None]:
    """Hold a local lock file during a block.

    Raises ValueError(busy) if another process holds it.
    """
    return local_files.locked(lock, busy)


def require_file_target(location: Location, *inputs: Location | None) -> None:
    """Raise ValueError unless a file can be written there that replaces none of `inputs`."""
    for read in inputs:
        if read and is_same_place(location, read):
            raise ValueError(
                f"{location} is also an input, or another output, of this command: "
                "give another place to write"
            )
    if not is_s3(location):
        if Path(location).is_dir():
            raise ValueError(f"{location} is a folder: give the name of a file to write")
        _require_no_file_above(Path(location), "place")


def is_same_place(one: Location, other: Location) -> bool:
    """Whether two locations are one file or folder, however they are written."""
    if is_s3(one) or is_s3(other):
        return str(one) == str(other)
    return Path(one).resolve() == Path(other).resolve()


def _require_no_file_above(path: Path, wanted: str) -> None:
    for parent in path.parents:
        if is_other_than_folder(parent):
            raise ValueError(f"{parent} is a file: give another {wanted} to write")


def require_replaceable(
    location: Location, marker: str, *inputs: Location, written: Collection[str] = ("*", "*/")
) -> None:
    """Raise ValueError unless a step may write a folder at the location.

    It may if there is nothing, an empty folder, or an earlier output of the same step. Called
    before the work begins, so that nothing of value is lost and no work is done in vain.

    Args:
        marker: the file that every output of the step holds.
        inputs: locations that the step reads.
        written: names of all that the step writes, with `*` for parts of them and `/` behind those
            of folders: files of others may be called as the marker is.
    """
    same = not is_s3(location) and Path(location).resolve() in [
        Path(given).resolve() for given in inputs if not is_s3(given)
    ]
    if same or location in inputs:
        raise ValueError(f"{location} is also an input: give another folder to write")
    for given in inputs:  # it would be lost with all else that is in the folder
        if is_inside(given, location):
            raise ValueError(
                f"{location} holds {given}, which is an input: give another folder to write"
            )
    if not is_s3(location):
        if is_other_than_folder(Path(location)):
            raise ValueError(f"{location} is a file: give another folder to write")
        _require_no_file_above(Path(location), "folder")
    held = list_files(location)
    # An upload that was killed may not have reached the marker.
    is_own = marker in held or (is_s3(location) and _is_uploading(held))
    others = [name for name in held if not is_own or not _is_written(name, written)]
    if others:
        raise ValueError(
            f"{location} holds files that this step did not write, such as {others[0]}: "
            "give a new or an empty folder"
        )


def _is_written(name: str, patterns: Collection[str]) -> bool:
    """Whether one of the patterns is that of the file, or of the first folder above it.

    Hidden files are those of tools.
    """
    first, slash, _ = name.partition("/")
    is_tools = first.startswith(".") and not slash
    return is_tools or any(fnmatchcase(first + slash, pattern) for pattern in patterns)


def _is_uploading(names: list[str]) -> bool:
    from omnidet import object_folders

    return object_folders.UPLOADING in names


def is_other_than_folder(path: Path) -> bool:
    """Whether there is something that is no folder; one question, since between two of them another
    process may make the folder or move it away.
    """
    try:
        return not stat.S_ISDIR(path.stat().st_mode)
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError as error:
        if error.errno != errno.ELOOP:  # a link to itself
            raise
        return True


def require_outside(location: Location, other: Location) -> None:
    """Raise ValueError if a folder is another one, or inside it."""
    if is_inside(location, other):
        raise ValueError(f"{location} is {other} or inside it: give a folder outside it")


def is_inside(location: Location, other: Location) -> bool:
    """Whether a location is another one, or inside it."""
    if is_s3(location) or is_s3(other):
        return f"{location}/".startswith(f"{str(other).rstrip('/')}/")
    return Path(location).resolve().is_relative_to(Path(other).resolve())


def require_writable(location: Location) -> None:
    """Raise OSError if a local folder cannot be created: before hours of work, not after them.

    It is of the kind that tells a place that is wrong from a disk that is full.
    """
    if is_s3(location):
        return
    folder = Path(location).absolute().parent
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise local_files.unwritable(str(location), error) from error
