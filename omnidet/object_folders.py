"""Folders on an object store, handled so that no reader mistakes a part for the whole."""

from __future__ import annotations

import contextlib
import io
import os
import time
import uuid
from pathlib import Path

from omnidet import object_store
from omnidet.object_store import Version, in_parallel, list_versions
from omnidet.s3_client import bucket_and_key, bucket_and_prefix, client, explained

UPLOADING = ".uploading"
"""Name of the object that a folder holds while it is being uploaded or removed."""
_ABANDONED_SECONDS = 24 * 3600


def remove(location: str, first: str) -> None:
    """Remove the object or folder.

    Of a folder, the object `first` goes before all others. Missing is not an error.
    """
    bucket, key = bucket_and_key(location.rstrip("/"))
    with explained(location):
        names = list_versions(bucket, f"{key}/")
        if names:  # readers must not see a folder that is half removed
            client().put_object(bucket, f"{key}/{UPLOADING}", io.BytesIO(b""), 0)
        if first in names:
            client().remove_object(bucket, f"{key}/{first}")
        others = [key, *(f"{key}/{name}" for name in names.keys() - {first, UPLOADING})]
        in_parallel(lambda other: client().remove_object(bucket, other), others)
        if names:
            client().remove_object(bucket, f"{key}/{UPLOADING}")


def upload_folder(folder: Path, location: str, last: str) -> None:
    """Make the folder of objects hold exactly the files of the local one.

    From before the first change until after the last, the folder holds the object `.uploading`, and
    readers refuse it. If the process is killed, the object stays. The object `last`, if the folder
    has one, marks the folder as whole: the old one is removed first, the new one is written after
    all others, and objects that no longer belong are removed after that.

    A folder that is known to hold just these files is left alone: another process may be reading
    what a second run of a step makes again.
    """
    bucket, prefix = bucket_and_prefix(location)
    if not prefix:
        raise ValueError(
            f"{location} is a whole bucket: name a folder in it, "
            "or everything else in the bucket would be removed"
        )
    files = {
        path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file()
    }
    with explained(location):
        before = list_versions(bucket, prefix)
        is_same = before.keys() == files.keys()
        if is_same and all(object_store.has_md5_of(files[n], before[n]) for n in files):
            return
        client().put_object(bucket, prefix + UPLOADING, io.BytesIO(b""), 0)
        old = list_versions(bucket, prefix)
        if last in old:
            client().remove_object(bucket, prefix + last)
        in_parallel(
            lambda name: object_store.put_file(bucket, prefix + name, files[name]),
            files.keys() - {last},
        )
        if last in files:
            object_store.put_file(bucket, prefix + last, files[last])
        strays = old.keys() - files.keys() - {last, UPLOADING}
        in_parallel(lambda name: client().remove_object(bucket, prefix + name), strays)
        client().remove_object(bucket, prefix + UPLOADING)


def local_copy(location: str, cache: Path) -> Path:
    """Download the object or folder to `cache/bucket/key`.

    Files that the cache already has in the current version are not downloaded again. The cache also
    holds `.versions` (the version of each file) and `.parts` (unfinished downloads). Raises OSError
    for a folder that is not wholly uploaded, or that changes during the download.
    """
    bucket, prefix = bucket_and_prefix(location)
    key = prefix.rstrip("/")
    with explained(location):
        is_object = key and not location.endswith("/")
        own = object_store.version(bucket, key) if is_object else None
        found = {key: own} if own else _folder(bucket, prefix, location)
        if not found:
            raise FileNotFoundError(f"{location} does not exist")
        for name in found:
            if {"", ".", ".."} & set(name.split("/")):
                raise ValueError(
                    f"s3://{bucket}/{name} cannot be the name of a local file: rename the object"
                )
        (cache / ".parts").mkdir(parents=True, exist_ok=True)
        _remove_abandoned(cache / ".parts")
        fetched: list[str] = []
        in_parallel(
            lambda item: fetched.append(item[0]) if _refresh(cache, bucket, *item) else None,
            found.items(),
        )
        if not own and fetched and _folder(bucket, prefix, location) != found:
            raise OSError(f"{location} was written while it was read: try again afterwards")
    target = cache / bucket / key
    if not own:
        for folder, _, names in os.walk(target):  # which bears that other processes do the same
            for path in (Path(folder, name) for name in names):
                if path.relative_to(cache / bucket).as_posix() not in found:
                    path.unlink(missing_ok=True)
    return target


def _remove_abandoned(parts: Path) -> None:
    """Remove unfinished downloads that killed processes left behind."""
    for part in parts.iterdir():
        now = time.time()
        with contextlib.suppress(FileNotFoundError):  # another process has finished it
            if now - part.stat().st_mtime > _ABANDONED_SECONDS:
                part.unlink()


def _folder(bucket: str, prefix: str, location: str) -> dict[str, Version]:
    """Version of each object below the prefix, by its key.

    Raises OSError if an upload is unfinished.
    """
    found = list_versions(bucket, prefix)
    if UPLOADING in found:
        raise OSError(
            f"{location} is not whole: an upload is under way or was interrupted; "
            "wait for it, or write the folder again"
        )
    return {prefix + name: version for name, version in found.items()}


def _refresh(cache: Path, bucket: str, key: str, version: Version) -> bool:
    """Download the object unless the cache has this version of it.

    Returns whether it was downloaded.
    """
    target, record = cache / bucket / key, cache / ".versions" / bucket / key
    if (
        target.is_file()
        and record.is_file()
        and record.read_text(encoding="utf-8") == _record_of(target, version)
    ):
        return False
    part = cache / ".parts" / uuid.uuid4().hex
    try:
        with part.open("w+b") as file:
            fetched = object_store.fetch(file, bucket, key)
        content = _record_of(part, fetched)
        for folder in (target.parent, record.parent):
            folder.mkdir(parents=True, exist_ok=True)
        part.replace(target)
        record.write_text(content, encoding="utf-8")
    finally:
        part.unlink(missing_ok=True)
    return True


def _record_of(path: Path, version: Version) -> str:
    """What is recorded of a downloaded file.

    Its time is part of it: if two processes download at once, the record fits only the file of one
    of them.
    """
    status = path.stat()
    return f"{version.etag} {version.size_bytes} {status.st_size} {status.st_mtime_ns}"
