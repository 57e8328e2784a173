"""Local files: written whole or not at all, whatever kills the writer; and locks.

`local_folders.py` handles whole folders; `storage` is the way in.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

STAGE = ".stage-"
"""In the names of what is being written, which nobody else counts as there."""
_TRIES = 100
_NO_LOCKS = (errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS)
"""Raised by network file systems without locks.

Nobody can tell who else is at work there, so work goes on.
"""
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
"""Raised by a full disk, by a used-up quota, and by a limit on the size of files."""
_NO_LINKS = (errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS)
"""Raised by file systems without hard links."""


def exists(location: str) -> bool:
    """Whether there is a file or folder at the location."""
    return Path(location).exists()


def size(location: str) -> int | None:
    """Size of the file in bytes, or None if it does not exist."""
    path = Path(location)
    return path.stat().st_size if path.is_file() else None


def read_bytes(location: str, offset: int, length: int | None) -> bytes:
    """The content, or `length` bytes from `offset`."""
    with open(location, "rb") as file:
        if offset:  # a pipe, as a shell's <(...) is one, cannot seek
            file.seek(offset)
        return file.read() if length is None else file.read(length)


def write_bytes(location: str, content: bytes) -> None:
    """Write the content so that a reader sees the old file or the whole new one."""
    target = Path(location)
    _write_temporary(target, content).replace(target)


def write_bytes_if_absent(location: str, content: bytes) -> bool:
    """Write the content unless there is a file.

    If several callers write at once, exactly one gets True.
    """
    target = Path(location)
    temporary = _write_temporary(target, content)
    try:
        os.link(temporary, target)
    except FileExistsError:
        return False
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        return _create(target, content)
    finally:
        temporary.unlink()
    return True


def _create(target: Path, content: bytes) -> bool:
    """As `write_bytes_if_absent`, but a reader may see a part of the file."""
    with naming(target):
        try:
            file = target.open("xb")
        except FileExistsError:
            return False
        try:
            with file:
                file.write(content)
        except BaseException:
            target.unlink()
            raise
    return True


def list_files(location: str) -> list[str]:
    """Every file below a folder, as sorted paths relative to it.

    Empty if the folder does not exist.
    """
    root = Path(location)
    return sorted(path.relative_to(root).as_posix() for path in _files(root))


def has_files(location: str) -> bool:
    """Whether there is any file below a folder."""
    return any(True for _ in _files(Path(location)))


def _files(root: Path) -> Iterator[Path]:
    """The files below a folder that others may write meanwhile.

    `os.walk` passes over a folder that vanishes under it, which `Path.rglob` does not; what is
    being staged is not there yet.
    """
    for folder, folders, names in os.walk(root):
        folders[:] = [name for name in folders if not _is_staged(name)]
        found = (Path(folder, name) for name in names if not _is_staged(name))
        yield from (path for path in found if path.is_file())


def _is_staged(name: str) -> bool:
    return name[0] == "." and STAGE in name


def first_names(location: str) -> Iterator[str]:
    """Names of what is directly in a folder, but for what is being written.

    None if the folder does not exist. Large folders are not read to their end unless asked.
    """
    try:
        with os.scandir(location) as entries:
            yield from (entry.name for entry in entries if not _is_staged(entry.name))
    except FileNotFoundError:
        return


def list_folders(location: str) -> list[str]:
    """Names of the folders directly in a folder, sorted. Empty if the folder does not exist."""
    try:
        return sorted(path.name for path in Path(location).iterdir() if path.is_dir())
    except (FileNotFoundError, NotADirectoryError):
        return []


@contextmanager
def naming(target: Path | str) -> Iterator[None]:
    """Name what is being written in the error of a full disk, which says no more than that, and of
    one that is only read, which names what nobody has asked for.
    """
    try:
        yield
    except OSError as error:
        if error.errno == errno.EROFS:
            raise unwritable(target, error) from error
        if error.errno not in _FULL:
            raise
        raise OSError(
            f"{target} cannot be written ({error.strerror}): make room on its disk, or give "
            "another place"
        ) from error


def unwritable(target: Path | str, error: OSError) -> OSError:
    """The error with the name of what cannot be written and the remedy; of the kind that tells a
    place that is wrong from a disk that is full.
    """
    kind = PermissionError if error.errno == errno.EROFS else type(error)
    return kind(
        f"{target} cannot be written ({error.strerror}): "
        "correct the permissions there, or give another place"
    )


@contextmanager
def written_whole(target: Path) -> Iterator[Path]:
    """A temporary file with the target's ending, which takes its place if the block succeeds.

    It does not wait until the file is on disk, as `write_bytes` does: for what is easily made
    again.
    """
    # The name is short, whatever the length of the target's, and the same if a killed process
    # comes back.
    digest = hashlib.sha256(os.fsencode(target.name)).hexdigest()[:16]
    temporary = target.with_name(f".{digest}.part{target.suffix[:16]}")
    with naming(target):
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            yield temporary
            temporary.replace(target)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise


_held: set[int] = set()
"""Descriptors of the locks that this process holds."""


@contextmanager
def locked(lock: Path, busy: str) -> Iterator[None]:
    """Hold a lock file during the block, and make its folder.

    Raises ValueError(busy) if another process holds it, and OSError with the remedy if it cannot be
    written.
    """
    for _ in range(_TRIES):
        descriptor = _opened_lock(lock)
        with holding(descriptor):
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise ValueError(busy) from None
            except OSError as error:
                if error.errno not in _NO_LOCKS:
                    raise
            # Who held it may have removed it, or moved its folder, before it was free.
            if _is_at(descriptor, lock):
                yield
                return
    raise ValueError(busy)


def _opened_lock(lock: Path) -> int:
    def opened() -> int:
        lock.parent.mkdir(parents=True, exist_ok=True)
        return os.open(lock, os.O_RDWR | os.O_CREAT, 0o666)

    try:
        for _ in range(_TRIES):
            # Its folder may be removed in between, or while `mkdir` looks what is there.
            with suppress(FileNotFoundError, FileExistsError):
                return opened()
        return opened()
    except OSError as error:
        raise unwritable(lock, error) from None


def _is_at(descriptor: int, path: Path) -> bool:
    """Whether the open file or folder still is the one at the path."""
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False


@contextmanager
def holding(descriptor: int) -> Iterator[None]:
    """Keep the descriptor of a lock open during the block, but not in forked processes."""
    _held.add(descriptor)
    try:
        yield
    finally:
        if descriptor in _held:
            _held.remove(descriptor)
            os.close(descriptor)


def _release_inherited_locks() -> None:
    """Keep a forked process, such as a data loader, from holding its parent's locks.

    Otherwise they would stay locked after the parent is killed.
    """
    while _held:
        os.close(_held.pop())


os.register_at_fork(after_in_child=_release_inherited_locks)


def _write_temporary(target: Path, content: bytes) -> Path:
    """Write a temporary file next to the target and wait until it is on disk."""
    with naming(target):
        target.parent.mkdir(parents=True, exist_ok=True)
        descriptor, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name[:60]}{STAGE}")
        temporary = Path(name)
        try:
            with open(descriptor, "wb", buffering=0) as file:
                rest = memoryview(content)
                while rest:  # a disk takes what fits, and fails only at the next byte
                    rest = rest[file.write(rest) :]
                os.fsync(file.fileno())
        except BaseException:
            temporary.unlink()
            raise
    give_default_mode(temporary)
    return temporary


def give_default_mode(path: Path) -> None:
    """What is temporary is private; what is published gets the mode of any new file or folder."""
    mask = os.umask(0)
    os.umask(mask)
    path.chmod((0o777 if path.is_dir() else 0o666) & ~mask)
