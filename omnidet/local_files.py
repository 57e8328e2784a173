"""Local files and folders: written whole or not at all, whatever kills the writer.

`storage` is the way in.
"""

from __future__ import annotations

import errno
import fcntl
import glob
import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_OLD = ".old"
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
    try:
        with target.open("xb") as file:
            file.write(content)
    except FileExistsError:
        return False
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
        folders[:] = [name for name in folders if not (name[0] == "." and ".stage-" in name)]
        yield from (path for name in names if (path := Path(folder, name)).is_file())


def list_folders(location: str) -> list[str]:
    """Names of the folders directly in a folder, sorted. Empty if the folder does not exist."""
    root = Path(location)
    return sorted(path.name for path in root.iterdir() if path.is_dir()) if root.is_dir() else []


def remove(location: str) -> None:
    """Remove a file or folder. Readers never see a folder half removed. Missing is not an error."""
    target = Path(location)
    if target.is_dir() and not target.is_symlink():
        hidden = _hidden_folder(target)
        target.rename(hidden / target.name)
        shutil.rmtree(hidden)
    else:
        target.unlink(missing_ok=True)


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


@contextmanager
def staged_directory(target: Path) -> Iterator[Path]:
    """A new folder that is moved to `target` if the block succeeds, and removed if it fails."""
    with naming(target):
        target.parent.mkdir(parents=True, exist_ok=True)
        _clear_up(target)
        stage = _hidden_folder(target)
        try:
            with _in_use(stage):
                yield stage
                give_default_modes(stage)
                replace_directory(stage, target)
        finally:
            shutil.rmtree(stage, ignore_errors=True)


def replace_directory(stage: Path, target: Path) -> None:
    """Move a folder to a place on the same file system. What was there is removed."""
    if target.exists():
        retired = _hidden_folder(target, _OLD)
        with _in_use(retired):
            target.rename(retired / target.name)
            stage.rename(target)
        shutil.rmtree(retired)
    else:
        stage.rename(target)


_held: set[int] = set()
"""Descriptors of the locks that this process holds."""


@contextmanager
def locked(lock: Path, busy: str) -> Iterator[None]:
    """Hold a lock file during the block.

    Raises ValueError(busy) if another process holds it, and OSError with the remedy if it cannot be
    written.
    """
    try:
        descriptor = os.open(lock, os.O_RDWR | os.O_CREAT, 0o666)
    except OSError as error:
        raise unwritable(lock, error) from None
    with _holding(descriptor):
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ValueError(busy) from None
        except OSError as error:
            if error.errno not in _NO_LOCKS:
                raise
        yield


@contextmanager
def _holding(descriptor: int) -> Iterator[None]:
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


def _hidden_folder(target: Path, suffix: str = "") -> Path:
    return Path(tempfile.mkdtemp(dir=target.parent, prefix=f".{target.name}.stage-", suffix=suffix))


@contextmanager
def _in_use(folder: Path) -> Iterator[None]:
    """Let other processes know that this one is at work in a folder; a kill ends it."""
    descriptor = os.open(folder, os.O_RDONLY)
    with _holding(descriptor):
        with suppress(OSError):  # without locks nobody can tell, and work goes on
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        yield


def _is_in_use(folder: Path) -> bool:
    try:
        descriptor = os.open(folder, os.O_RDONLY)
    except OSError:  # gone, or another user's
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        return isinstance(error, BlockingIOError)
    finally:
        os.close(descriptor)
    return False


def _clear_up(target: Path) -> None:
    """Remove the stage of a killed process, and not that of one which is at work.

    If the process died between the two moves of `replace_directory`, the old folder is moved back.
    """
    for stale in target.parent.glob(f".{glob.escape(target.name)}.stage-*"):
        if _is_in_use(stale):
            continue
        if stale.suffix == _OLD and (stale / target.name).exists() and not target.exists():
            (stale / target.name).rename(target)
        shutil.rmtree(stale, ignore_errors=True)


def _write_temporary(target: Path, content: bytes) -> Path:
    """Write a temporary file next to the target and wait until it is on disk."""
    with naming(target):
        target.parent.mkdir(parents=True, exist_ok=True)
        descriptor, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name[:60]}.")
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
    _give_default_mode(temporary)
    return temporary


def give_default_modes(folder: Path) -> None:
    """Let others read a folder and its files.

    Temporary folders are private, and some libraries write private files.
    """
    _give_default_mode(folder)
    for path in folder.rglob("*"):
        if not path.is_symlink() and not _is_shared(path):
            _give_default_mode(path)


def _is_shared(path: Path) -> bool:
    """Whether a file also stands in another folder, where its mode is somebody else's choice."""
    return path.is_file() and path.stat().st_nlink > 1


def _give_default_mode(path: Path) -> None:
    """What is temporary is private; what is published gets the mode of any new file or folder."""
    mask = os.umask(0)
    os.umask(mask)
    path.chmod((0o777 if path.is_dir() else 0o666) & ~mask)
