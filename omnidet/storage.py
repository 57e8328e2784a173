"""One way to read, list and atomically write local paths and `s3://bucket/key` URIs.

`object_store.py` does what stands behind `s3://`, `s3_client.py` finds the server; its environment is in `docs/storage.md`.

Whole folders are written with `staged_directory`: a killed process leaves the old folder or the new one, on an object store
perhaps none, but never something that looks whole and is not.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from omnidet import object_store, s3_client

Location = str | os.PathLike[str]
"""A local path or an `s3://bucket/key` URI."""

INDEX_NAME = "index.json"
"""The file that makes a folder whole: on an object store it is written last and read first."""

_OLD = ".old"
_client = s3_client._client  # tests/test_storage.py clears it


def is_s3(location: Location) -> bool:
    """Whether the location is an object store URI."""
    return str(location).startswith("s3://")


def join(location: Location, *parts: str) -> str:
    """The location of something inside a folder, local or `s3://`; as in `os.path.join`, an absolute part stands for itself."""
    for i, part in enumerate(parts):
        if part.startswith(("/", "s3://")):
            return join(part, *parts[i + 1 :])
    return "/".join([str(location).rstrip("/"), *parts]) if parts else str(location)


def exists(location: Location) -> bool:
    """Whether there is a file or object at the location (a folder counts locally only)."""
    if is_s3(location):
        return object_store.exists(str(location))
    return Path(location).exists()


def read_bytes(location: Location, offset: int = 0, length: int | None = None) -> bytes:
    """The content, or `length` bytes from `offset`. Raises FileNotFoundError that names the location."""
    if is_s3(location):
        return object_store.read_bytes(str(location), offset, length)
    with open(location, "rb") as file:
        file.seek(offset)
        return file.read() if length is None else file.read(length)


def size(location: Location) -> int | None:
    """Bytes of the file or object, or None where there is none."""
    if is_s3(location):
        return object_store.size(str(location))
    path = Path(location)
    return path.stat().st_size if path.is_file() else None


def sha256(path: Path) -> str:
    """Hexadecimal SHA-256 of a local file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def upload(path: Path, location: Location) -> None:
    """Put a local file on an object store, a large one in parts: readers see the old object or the whole new one."""
    object_store.upload_file(path, str(location))


def read_text(location: Location) -> str:
    """The content as UTF-8 text."""
    return read_bytes(location).decode()


def write_bytes(location: Location, content: bytes) -> None:
    """Write the content so that a reader sees the old file or the whole new one, never a part."""
    if is_s3(location):
        object_store.write_bytes(str(location), content)
        return
    target = Path(location)
    _write_beside(target, content).replace(target)


def write_text(location: Location, content: str) -> None:
    """Write UTF-8 text as `write_bytes` does."""
    write_bytes(location, content.encode())


def write_bytes_if_absent(location: Location, content: bytes) -> bool:
    """Write the content unless something is there; of several writers at once exactly one gets True."""
    if is_s3(location):
        return object_store.write_bytes_if_absent(str(location), content)
    target = Path(location)
    temporary = _write_beside(target, content)
    try:
        os.link(temporary, target)
    except FileExistsError:
        return False
    finally:
        temporary.unlink()
    return True


def list_files(location: Location) -> list[str]:
    """Every file below a folder, as sorted paths relative to it; empty where there is no such folder."""
    if is_s3(location):
        return object_store.list_files(str(location))
    root = Path(location)
    return sorted(p.relative_to(root).as_posix() for p in root.rglob("*") if p.is_file())


def has_files(location: Location) -> bool:
    """Whether there is any file below a folder, without listing them all."""
    if is_s3(location):
        return object_store.has_files(str(location))
    return any(path.is_file() for path in Path(location).rglob("*"))


def fingerprints(location: Location) -> dict[str, str]:
    """What the object store says of the content of every object below an `s3://` folder: the same as long as it is the same."""
    return object_store.fingerprints(str(location))


def list_folders(location: Location) -> list[str]:
    """Names of the folders directly in a folder, sorted, without hidden ones; empty where there is no such folder."""
    if is_s3(location):
        names = object_store.list_folders(str(location))
    else:
        root = Path(location)
        names = sorted(p.name for p in root.iterdir() if p.is_dir()) if root.is_dir() else []
    return [name for name in names if not name.startswith(".")]


def remove(location: Location) -> None:
    """Remove a file or a whole folder, which is none from the first moment on; nothing there is fine."""
    if is_s3(location):
        object_store.remove(str(location), INDEX_NAME)
        return
    target = Path(location)
    if target.is_dir() and not target.is_symlink():
        hidden = _hidden(target)
        target.rename(hidden / target.name)
        shutil.rmtree(hidden)
    else:
        target.unlink(missing_ok=True)


def local_copy(location: Location, cache: Location) -> Path:
    """A local path to read the folder or file from: itself where it is local, else fetched into `cache`.

    What was fetched before is fetched again only where the object store now holds another version.
    """
    if is_s3(location):
        return object_store.local_copy(str(location), Path(cache))
    if not Path(location).exists():
        raise FileNotFoundError(f"{location} does not exist")
    return Path(location)


def download(location: str, target: Path) -> None:
    """Fetch one object of an `s3://` location into a local file, which is whole only when this returns."""
    object_store.download(location, target)


def require_file_target(location: Location, *inputs: Location | None) -> None:
    """Raise ValueError unless a file can be written there, which is none of `inputs`."""
    for read in inputs:
        if read and _same_place(location, read):
            raise ValueError(
                f"{location} is also what is read, or written, by this: give another place to write"
            )
    if not is_s3(location):
        if Path(location).is_dir():
            raise ValueError(f"{location} is a folder: give the name of a file to write")
        for part in Path(location).parents:
            if part.exists() and not part.is_dir():
                raise ValueError(f"{part} is a file: give another place to write")


def _same_place(one: Location, other: Location) -> bool:
    if is_s3(one) or is_s3(other):
        return str(one) == str(other)
    return Path(one).resolve() == Path(other).resolve()


def require_replaceable(location: Location, marker: str, *inputs: Location) -> None:
    """Raise ValueError unless a step may write a folder there: nothing, an empty folder, or what the step itself wrote before.

    Asked before the work begins, so that nothing of value is lost and no work is done in vain.

    Args:
        marker: the file that every output of the step holds.
        inputs: locations that the step reads.
    """
    same = not is_s3(location) and Path(location).resolve() in [
        Path(given).resolve() for given in inputs if not is_s3(given)
    ]
    if same or location in inputs:
        raise ValueError(f"{location} is also what is read: give another folder to write")
    if not is_s3(location):
        for part in (Path(location), *Path(location).parents):
            if part.exists() and not part.is_dir():
                raise ValueError(f"{part} is a file: give another folder to write")
    held = list_files(location)
    if (
        held and marker not in held and object_store.UPLOADING not in held
    ):  # a killed upload may have come to no marker yet
        raise ValueError(
            f"{location} holds other things ({held[0]} and the like): give a new or an empty folder to write"
        )


def require_outside(location: Location, other: Location) -> None:
    """Raise ValueError where a folder is another one, or lies inside it."""
    if is_s3(location) or is_s3(other):
        inside = f"{location}/".startswith(f"{str(other).rstrip('/')}/")
    else:
        inside = Path(location).resolve().is_relative_to(Path(other).resolve())
    if inside:
        raise ValueError(f"{location} is {other}, or inside it: give a folder beside it")


def require_writable(location: Location) -> None:
    """Raise OSError now if a local folder cannot be written at the end: before hours of work, not after them."""
    if is_s3(location):
        return
    folder = Path(location).absolute().parent
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise OSError(
            f"{location} cannot be written ({error.strerror}): correct the rights there, or give another place"
        ) from error


@contextmanager
def staged_directory(location: Location) -> Iterator[Path]:
    """A fresh local folder that becomes `location` when the block ends well and vanishes when it does not.

    A local folder is moved into place. An `s3://` folder loses its old index, gets the new files, then the new index, and
    then loses what the old folder had besides: in between, a reader finds no index and so no folder.
    """
    if is_s3(location):
        object_store.list_files(
            str(location)
        )  # a wrong bucket or key shows now, not after hours of work
        with tempfile.TemporaryDirectory(prefix="omnidet-") as temporary:
            yield Path(temporary)
            object_store.upload_folder(Path(temporary), str(location), last=INDEX_NAME)
        return
    target = Path(location)
    target.parent.mkdir(parents=True, exist_ok=True)
    _clear_up(target)
    stage = _hidden(target)
    try:
        yield stage
        give_default_modes(stage)
        replace_directory(stage, target)
    finally:
        shutil.rmtree(stage, ignore_errors=True)


def replace_directory(stage: Location, location: Location) -> None:
    """Move a local folder to its place beside it; what was there vanishes in the same moment."""
    target = Path(location)
    if target.exists():
        retired = _hidden(target, _OLD)
        target.rename(retired / target.name)
        Path(stage).rename(target)
        shutil.rmtree(retired)
    else:
        Path(stage).rename(target)


_NO_LOCKS = (errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS)
"""Some network file systems know no locks: nobody can tell who else is there, and work goes on."""


_held: set[int] = set()
"""Descriptors of the locks of this process."""


@contextmanager
def locked(lock: Path, busy: str) -> Iterator[None]:
    """Hold a lock file for the time of the block. Raises ValueError(busy) where another process holds it."""
    descriptor = os.open(lock, os.O_RDWR | os.O_CREAT, 0o666)
    _held.add(descriptor)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ValueError(busy) from None
        except OSError as error:
            if error.errno not in _NO_LOCKS:
                raise
        yield
    finally:
        if descriptor in _held:
            _held.remove(descriptor)
            os.close(descriptor)


def _let_go_of_locks() -> None:
    """In a forked process, as one that makes batches: it would hold the lock for a while after its parent was killed."""
    while _held:
        os.close(_held.pop())


os.register_at_fork(after_in_child=_let_go_of_locks)


def _hidden(target: Path, suffix: str = "") -> Path:
    return Path(tempfile.mkdtemp(dir=target.parent, prefix=f".{target.name}.stage-", suffix=suffix))


def _clear_up(target: Path) -> None:
    """What a killed process left, which nothing reads: a stage, or the old folder where it died between the two moves."""
    for stale in target.parent.glob(f".{target.name}.stage-*"):
        if stale.suffix == _OLD and (stale / target.name).exists() and not target.exists():
            (stale / target.name).rename(target)
        shutil.rmtree(stale, ignore_errors=True)


def _write_beside(target: Path, content: bytes) -> Path:
    """A temporary file with the content, on disk, in the folder of the target."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(
        dir=target.parent, prefix=f".{target.name}.", delete=False
    ) as file:
        temporary = Path(file.name)
        try:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        except BaseException:
            temporary.unlink()
            raise
    _give_default_mode(temporary)
    return temporary


def give_default_modes(folder: Path) -> None:
    """Let others read a folder and its files: temporary folders are private, and some libraries write private files."""
    folder.chmod(0o755)
    for path in folder.rglob("*"):
        if path.is_file():
            _give_default_mode(path)


def _give_default_mode(path: Path) -> None:
    """Temporary files are private; what is published has the mode that any new file would have."""
    mask = os.umask(0)
    os.umask(mask)
    path.chmod(0o666 & ~mask)
