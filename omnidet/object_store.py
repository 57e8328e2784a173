"""What `storage` does with `s3://bucket/key`, through the MinIO client."""

from __future__ import annotations

import hashlib
import io
import re
import time
import uuid
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from typing import BinaryIO, NamedTuple, TypeVar

from minio.error import S3Error
from urllib3 import BaseHTTPResponse
from urllib3.exceptions import ProtocolError, ReadTimeoutError

from omnidet.s3_client import (
    MISSING,
    TRIES,
    WAIT_SECONDS,
    bucket_and_key,
    bucket_and_prefix,
    client,
    explained,
)

NUM_THREADS = 8
UPLOADING = ".uploading"
"""Object that stands in a folder while it is being uploaded."""
_CHUNK_BYTES = 1 << 20
_COMPARED_BYTES = 8 << 20
_FORGOTTEN_SECONDS = 24 * 3600
_WRITER = "x-amz-meta-omnidet-writer"
_MD5 = re.compile(r"[0-9a-f]{32}")

T = TypeVar("T")


class Version(NamedTuple):
    """What tells one content of an object from the next."""

    size_bytes: int
    etag: str


def exists(location: str) -> bool:
    """Whether there is an object (a folder is none)."""
    bucket, key = bucket_and_key(location)
    with explained(location):
        return _version(bucket, key) is not None


def size(location: str) -> int | None:
    """Bytes of the object, or None where there is none."""
    bucket, key = bucket_and_key(location)
    with explained(location):
        found = _version(bucket, key)
    return found.size_bytes if found else None


def upload_file(path: Path, location: str) -> None:
    """Put one file as one object."""
    bucket, key = bucket_and_key(location)
    with explained(location):
        _put_file(bucket, key, path)


def read_bytes(location: str, offset: int, length: int | None) -> bytes:
    """The content, or a range of it; what lies behind the end is empty, as in a file."""
    bucket, key = bucket_and_key(location)
    with explained(location):
        if length == 0:
            client().stat_object(
                bucket, key
            )  # a missing object is an error whatever is asked of it
            return b""
        content = io.BytesIO()
        try:
            _download(content, bucket, key, offset, length or 0)
        except S3Error as error:
            if error.code == "InvalidRange":
                return b""
            raise
    return content.getvalue()


def write_bytes(location: str, content: bytes) -> None:
    """Put one object: readers see the old content or the whole new one."""
    bucket, key = bucket_and_key(location)
    with explained(location):
        client().put_object(bucket, key, io.BytesIO(content), len(content))


def write_bytes_if_absent(location: str, content: bytes) -> bool:
    """Put one object where there is none; of several writers at once one gets True.

    The store decides, by `If-None-Match`; `docs/storage.md` says which ones do so in one step.
    """
    bucket, key = bucket_and_key(location)
    writer = uuid.uuid4().hex
    with explained(location):
        if (
            _version(bucket, key) is not None
        ):  # all that protects what is there on a store without conditional writes
            return False
        for attempt in range(TRIES):
            # minio offers no conditional put, and would send the header as user metadata.
            headers = {
                "If-None-Match": "*",
                "Content-Type": "application/octet-stream",
                _WRITER: writer,
            }
            try:
                client()._execute("PUT", bucket, key, body=content, headers=dict(headers))
                break
            except S3Error as error:
                if error.code == "PreconditionFailed":
                    break
                if error.code != "ConditionalRequestConflict" or attempt == TRIES - 1:
                    raise
                time.sleep(WAIT_SECONDS)
        # Whose is it? Ours too where the answer to a first try was lost and the request, sent again, refused.
        try:
            found = client().stat_object(bucket, key)
        except S3Error as error:
            if error.code in MISSING:
                return False
            raise
        return bool((found.metadata or {}).get(_WRITER) == writer)


def list_files(location: str) -> list[str]:
    """Every object below a folder, relative to it and sorted; FileNotFoundError where there is no such bucket."""
    bucket, prefix = bucket_and_prefix(location)
    with explained(location):
        return sorted(_list(bucket, prefix))


def has_files(location: str) -> bool:
    """Whether there is any object below a folder."""
    bucket, prefix = bucket_and_prefix(location)
    with explained(location):
        return (
            next(iter(client().list_objects(bucket, prefix=prefix, recursive=True)), None)
            is not None
        )


def fingerprints(location: str) -> dict[str, str]:
    """Size and etag of every object below a folder."""
    return {
        name: f"{version.size_bytes} {version.etag}"
        for name, version in sorted(versions(location).items())
    }


def versions(location: str) -> dict[str, Version]:
    """Every object below a folder, by its name relative to it."""
    bucket, prefix = bucket_and_prefix(location)
    with explained(location):
        return _list(bucket, prefix)


def holds(location: str, version: Version, path: Path) -> bool:
    """Whether the object, of which this version is known, has the content of the file.

    Its ETag is the content's MD5 mostly; where it is not, the object is read.
    """
    if version.size_bytes != path.stat().st_size:
        return False
    with path.open("rb") as file:
        if hashlib.file_digest(file, _md5).hexdigest() == version.etag:
            return True
        for offset in range(0, version.size_bytes, _COMPARED_BYTES):
            file.seek(offset)
            if read_bytes(location, offset, _COMPARED_BYTES) != file.read(_COMPARED_BYTES):
                return False
    return True


def list_folders(location: str) -> list[str]:
    """Names of the folders directly in a folder, sorted."""
    bucket, prefix = bucket_and_prefix(location)
    with explained(location):
        found = [
            str(o.object_name) for o in client().list_objects(bucket, prefix=prefix) if o.is_dir
        ]
    return sorted(name[len(prefix) :].rstrip("/") for name in found)


def remove(location: str, first: str) -> None:
    """Remove the object, or the folder with the object `first` before all others; nothing there is fine."""
    bucket, key = bucket_and_key(location.rstrip("/"))
    with explained(location):
        names = _list(bucket, f"{key}/")
        if names:  # what is half removed is not to be read either
            client().put_object(bucket, f"{key}/{UPLOADING}", io.BytesIO(b""), 0)
        if first in names:
            client().remove_object(bucket, f"{key}/{first}")
        others = [key, *(f"{key}/{name}" for name in names.keys() - {first, UPLOADING})]
        in_parallel(lambda other: client().remove_object(bucket, other), others)
        if names:
            client().remove_object(bucket, f"{key}/{UPLOADING}")


def upload_folder(folder: Path, location: str, last: str) -> None:
    """Make the folder of objects hold the files of the local one and nothing else.

    The mark `.uploading` stands in it from before the first change until after the last: a reader of the folder refuses it
    meanwhile, and for good where the process is killed. The object `last`, where the folder has one, makes it whole besides:
    the old one goes first, the new one comes when all others are there, strays go after it.
    """
    bucket, prefix = bucket_and_prefix(location)
    if not prefix:
        raise ValueError(
            f"{location} is a whole bucket: name a folder in it, for what else it holds would be removed"
        )
    files = {
        path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file()
    }
    with explained(location):
        client().put_object(bucket, prefix + UPLOADING, io.BytesIO(b""), 0)
        old = _list(bucket, prefix)
        if last in old:
            client().remove_object(bucket, prefix + last)
        in_parallel(
            lambda name: _put_file(bucket, prefix + name, files[name]), files.keys() - {last}
        )
        if last in files:
            _put_file(bucket, prefix + last, files[last])
        strays = old.keys() - files.keys() - {last, UPLOADING}
        in_parallel(lambda name: client().remove_object(bucket, prefix + name), strays)
        client().remove_object(bucket, prefix + UPLOADING)


def download(location: str, target: Path) -> None:
    """Write one object into a local file. Raises FileNotFoundError that names the location."""
    bucket, key = bucket_and_key(location)
    with explained(location), target.open("w+b") as file:
        _download(file, bucket, key)


def local_copy(location: str, cache: Path) -> Path:
    """Fetch the object or folder to `cache/bucket/key`, but for what is there already in this very version.

    Beside the copies stand `.versions` (what each file was fetched as) and `.parts` (files on their way). Raises OSError for a
    folder that is not wholly uploaded, and for one that changes while it is fetched.
    """
    bucket, prefix = bucket_and_prefix(location)
    key = prefix.rstrip("/")
    with explained(location):
        own = _version(bucket, key) if key and not location.endswith("/") else None
        found = {key: own} if own else _folder(bucket, prefix, location)
        if not found:
            raise FileNotFoundError(f"{location} does not exist")
        for name in found:
            if {"", ".", ".."} & set(name.split("/")):
                raise ValueError(
                    f"s3://{bucket}/{name} has no name that a file can have: rename the object"
                )
        (cache / ".parts").mkdir(parents=True, exist_ok=True)
        for part in (cache / ".parts").iterdir():  # a killed process leaves its own behind
            if time.time() - part.stat().st_mtime > _FORGOTTEN_SECONDS:
                part.unlink(missing_ok=True)
        fetched: list[str] = []
        in_parallel(
            lambda item: fetched.append(item[0]) if _refresh(cache, bucket, *item) else None,
            found.items(),
        )
        if not own and fetched and _folder(bucket, prefix, location) != found:
            raise OSError(f"{location} was written while it was read: try again when that is done")
    target = cache / bucket / key
    if not own:
        for path in target.rglob("*"):
            if path.is_file() and path.relative_to(cache / bucket).as_posix() not in found:
                path.unlink()
    return target


def _folder(bucket: str, prefix: str, location: str) -> dict[str, Version]:
    """Version of each object below the prefix by its key. Raises OSError where an upload is under way or was stopped."""
    found = _list(bucket, prefix)
    if UPLOADING in found:
        raise OSError(
            f"{location} is not whole: it is being uploaded, or that was stopped; wait, or write it again"
        )
    return {prefix + name: version for name, version in found.items()}


def _refresh(cache: Path, bucket: str, key: str, version: Version) -> bool:
    """Fetch the object unless it is there in this version; whether it was fetched."""
    target, record = cache / bucket / key, cache / ".versions" / bucket / key
    if (
        target.is_file()
        and record.is_file()
        and record.read_text(encoding="utf-8") == _fetched_as(target, version)
    ):
        return False
    part = cache / ".parts" / uuid.uuid4().hex
    try:
        with part.open("w+b") as file:
            fetched = _download(file, bucket, key)
        content = _fetched_as(part, fetched)
        for folder in (target.parent, record.parent):
            folder.mkdir(parents=True, exist_ok=True)
        part.replace(target)
        record.write_text(content, encoding="utf-8")
    finally:
        part.unlink(missing_ok=True)
    return True


def _fetched_as(path: Path, version: Version) -> str:
    """The time is of the file that was fetched: of two processes that fetch at once, the record fits one file only."""
    status = path.stat()
    return f"{version.etag} {version.size_bytes} {status.st_size} {status.st_mtime_ns}"


def _download(file: BinaryIO, bucket: str, key: str, offset: int = 0, length: int = 0) -> Version:
    """Write the object into the file. urllib3 repeats requests, but not answers that break off: those are repeated here."""
    for attempt in range(TRIES):
        file.seek(0)
        file.truncate()
        response = client().get_object(bucket, key, offset=offset, length=length)
        digest = _md5()
        try:
            for chunk in response.stream(_CHUNK_BYTES):
                file.write(chunk)
                digest.update(chunk)
            etag = response.headers.get("etag", "").strip('"')
            if offset or length or not _is_md5(etag, response) or digest.hexdigest() == etag:
                return Version(file.tell(), etag)
        except (ProtocolError, ReadTimeoutError):
            if attempt == TRIES - 1:
                raise
        finally:
            response.close()
            response.release_conn()
        time.sleep(min(attempt * 2 * WAIT_SECONDS, 10))
    raise OSError(
        f"s3://{bucket}/{key} arrived damaged {TRIES} times (its MD5 is not its ETag): look at the object store"
    )


def _md5() -> hashlib._Hash:
    return hashlib.md5(usedforsecurity=False)


def _is_md5(etag: str, response: BaseHTTPResponse) -> bool:
    """An ETag is no MD5 where there were several parts, or a key of KMS or the customer."""
    encryption = response.headers.get("x-amz-server-side-encryption", "AES256")
    has_own_key = "x-amz-server-side-encryption-customer-algorithm" in response.headers
    return bool(_MD5.fullmatch(etag)) and encryption == "AES256" and not has_own_key


def _put_file(bucket: str, key: str, path: Path) -> None:
    """Put a file, a large one in parts."""
    try:
        written = client().fput_object(bucket, key, str(path))
    except S3Error as error:
        if error.code != "NoSuchUpload":
            raise
        # The parts were put together, but the answer was lost and the request sent again: once more from the start.
        written = client().fput_object(bucket, key, str(path))
    if not written.etag:  # S3 may answer 200 and say only then that it failed
        raise OSError(
            f"s3://{bucket}/{key}: the object store could not put the parts together: try again"
        )


def _version(bucket: str, key: str) -> Version | None:
    try:
        found = client().stat_object(bucket, key)
    except S3Error as error:
        if error.code in MISSING:
            return None
        raise
    return Version(found.size or 0, found.etag or "")


def _list(bucket: str, prefix: str) -> dict[str, Version]:
    """Names below the prefix; consoles mark folders by empty objects that end in a slash, which are no files."""
    found = {
        str(o.object_name): o for o in client().list_objects(bucket, prefix=prefix, recursive=True)
    }
    return {
        n[len(prefix) :]: Version(o.size or 0, (o.etag or "").strip('"'))
        for n, o in found.items()
        if n[-1] != "/"
    }


def in_parallel(
    work: Callable[[T], object], items: Iterable[T], num_threads: int = NUM_THREADS
) -> None:
    """Do the work on each item; the first failure stops what has not begun."""
    with ThreadPoolExecutor(num_threads) as pool:
        futures = [pool.submit(work, item) for item in items]
        try:
            for future in as_completed(futures):
                future.result()
        finally:
            pool.shutdown(cancel_futures=True)
