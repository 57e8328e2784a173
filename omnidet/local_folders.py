"""Local folders: whole or not there, whatever kills the writer and whoever else writes.

A folder is written beside its place, in a hidden one that its process holds as a lock, and moved.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import glob
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from omnidet import local_files
from omnidet.local_files import STAGE

_OLD = ".old"
_OCCUPIED = (errno.ENOTEMPTY, errno.EEXIST, errno.ENOTDIR)
"""Raised by a move to where something is."""
_AT_FDCWD, _RENAME_EXCHANGE = -100, 2
"""Of Linux, renameat2(2)."""


def remove(location: str) -> None:
    """Remove a file or folder. Readers never see a folder half removed. Missing is not an error."""
    target = Path(location)
    if target.is_dir() and not target.is_symlink():
        with _hidden_folder(target) as hidden:
            with suppress(FileNotFoundError):  # another process was faster
                target.rename(hidden / target.name)
            shutil.rmtree(hidden)
    else:
        target.unlink(missing_ok=True)


@contextmanager
def staged_directory(target: Path) -> Iterator[Path]:
    """A new folder that is moved to `target` if the block succeeds, and removed if it fails."""
    with local_files.naming(target):
        target.parent.mkdir(parents=True, exist_ok=True)
        _clear_up(target)
        with _hidden_folder(target) as stage:
            try:
                yield stage
                give_default_modes(stage)
                if not _exchanged(stage, target):
                    replace_directory(stage, target)
            finally:
                shutil.rmtree(stage, ignore_errors=True)  # with what was there, if exchanged


def replace_directory(stage: Path, target: Path) -> None:
    """Move a folder to a place on the same file system. What was there is removed."""
    is_moved = False
    while not is_moved:
        with _hidden_folder(target, _OLD) as retired:
            with suppress(FileNotFoundError):
                target.rename(retired / target.name)
            is_moved = _moved(stage, target)
            shutil.rmtree(retired)


def _moved(folder: Path, target: Path) -> bool:
    """Whether a folder was moved to a place that was free; False if another process was faster."""
    try:
        folder.rename(target)
    except OSError as error:
        if error.errno not in _OCCUPIED:
            raise
        return False
    return True


def _exchanged(stage: Path, target: Path) -> bool:
    """Whether a folder has taken the place of another one, which is now at its own: in one step, so
    that readers always find one of the two. Not every system and file system can do it.
    """
    if target.is_symlink() or not target.is_dir():
        return False
    renameat2 = getattr(ctypes.CDLL(None), "renameat2", None)
    places = (_AT_FDCWD, os.fsencode(stage), _AT_FDCWD, os.fsencode(target))
    return renameat2 is not None and renameat2(*places, _RENAME_EXCHANGE) == 0


@contextmanager
def _hidden_folder(target: Path, suffix: str = "") -> Iterator[Path]:
    """A new folder beside the target, in use until the block ends or the process is killed."""
    while True:
        prefix = f".{target.name}{STAGE}"
        folder = Path(tempfile.mkdtemp(dir=target.parent, prefix=prefix, suffix=suffix))
        with _in_use(folder, fcntl.LOCK_SH) as is_ours:
            if is_ours:
                yield folder
                return


@contextmanager
def _in_use(folder: Path, how: int) -> Iterator[bool]:
    """Hold a folder, as a lock; gives False if another process holds it, or has removed it."""
    try:
        descriptor = os.open(folder, os.O_RDONLY)
    except (FileNotFoundError, PermissionError):  # gone, or another user's
        yield False
        return
    with local_files.holding(descriptor):
        try:
            fcntl.flock(descriptor, how)
        except BlockingIOError:
            yield False
            return
        except OSError:  # without locks nobody can tell, and work goes on
            pass
        yield folder.exists()


def _clear_up(target: Path) -> None:
    """Remove the stage of a killed process, and not that of one which is at work.

    If the process died between the two moves of `replace_directory`, the old folder is moved back.
    """
    for stale in target.parent.glob(f".{glob.escape(target.name)}{STAGE}*"):
        # Held until it is removed: a process that has just made it waits, and makes another one.
        with _in_use(stale, fcntl.LOCK_EX | fcntl.LOCK_NB) as is_left:
            if not is_left:
                continue
            if stale.suffix == _OLD and (stale / target.name).exists() and not target.exists():
                _moved(stale / target.name, target)
            shutil.rmtree(stale, ignore_errors=True)


def give_default_modes(folder: Path) -> None:
    """Let others read a folder and its files.

    Temporary folders are private, and some libraries write private files.
    """
    local_files.give_default_mode(folder)
    for path in folder.rglob("*"):
        if not path.is_symlink() and not _is_shared(path):
            local_files.give_default_mode(path)


def _is_shared(path: Path) -> bool:
    """Whether a file also stands in another folder, where its mode is somebody else's choice."""
    return path.is_file() and path.stat().st_nlink > 1
