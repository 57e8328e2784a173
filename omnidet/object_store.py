"""Single objects at `s3://bucket/key` and lists of them, through the MinIO client.

`object_folders.py` handles whole folders.
"""

from __future__ import annotations

import hashlib
import io
import json
import re
import time
import uuid
from collections.abc import Callable, Iterable, Sequence
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
    WRITER,
    bucket_and_key,
    bucket_and_prefix,
    client,
    explained,
)

NUM_THREADS = 8
_CHUNK_BYTES = 1 << 20
_COMPARED_BYTES = 8 << 20
_MIN_PART_BYTES = 5 << 20
_MD5 = re.compile(r"[0-9a-f]{32}")

T = TypeVar("T")


class Version(NamedTuple):
    """Distinguishes one content of an object from the next."""

    size_bytes: int
    etag: str


def exists(location: str) -> bool:
    """Whether there is an object at the location. A folder is not an object."""
    bucket, key = bucket_and_key(location)
    with explained(location):
        return version(bucket, key) is not None


def size(location: str) -> int | None:
    """Size of the object in bytes, or None if it does not exist."""
    bucket, key = bucket_and_key(location)
    with explained(location):
        found = version(bucket, key)
    return found.size_bytes if found else None


def upload_file(path: Path, location: str) -> None:
    """Upload one file as one object."""
    bucket, key = bucket_and_key(location)
    with explained(location):
        put_file(bucket, key, path)


def read_bytes(location: str, offset: int, length: int | None) -> bytes:
    """The content, or a range of it. A range past the end is empty, as in a file."""
    bucket, key = bucket_and_key(location)
    with explained(location):
        if length == 0:  # a missing object is an error even if nothing of it is wanted
            client().stat_object(bucket, key)
            return b""
        content = io.BytesIO()
        try:
            fetch(content, bucket, key, offset, length or 0)
        except S3Error as error:
            if error.code == "InvalidRange":
                return b""
            raise
    return content.getvalue()


def write_bytes(location: str, content: bytes) -> None:
    """Write one object. Readers see the old content or the whole new one."""
    bucket, key = bucket_and_key(location)
    with explained(location):
        client().put_object(bucket, key, io.BytesIO(content), len(content))


def write_bytes_if_absent(location: str, content: bytes) -> bool:
    """Write one object unless it exists. If several callers write at once, exactly one gets True.

    The store decides, by `If-None-Match`. `docs/storage.md` says which stores decide atomically.
    """
    bucket, key = bucket_and_key(location)
    writer = uuid.uuid4().hex
    with explained(location):
        # On a store without conditional writes, this check is all that protects an existing object.
        if version(bucket, key) is not None:
            return False
        for attempt in range(TRIES):
            try:
                client().put_object(
                    bucket,
                    key,
                    io.BytesIO(content),
                    len(content),
                    metadata={WRITER: writer},  # makes the request conditional: see s3_client
                    part_size=max(len(content), _MIN_PART_BYTES),  # one request, not several
                )
                break
            except S3Error as error:
                if error.code == "PreconditionFailed":
                    break
                if error.code != "ConditionalRequestConflict" or attempt == TRIES - 1:
                    raise
                time.sleep(WAIT_SECONDS)
        # A refusal may still mean success: the first answer was lost, and the repeated request
        # refused.
        try:
            found = client().stat_object(bucket, key)
        except S3Error as error:
            if error.code in MISSING:
                return False
            raise
        return bool((found.metadata or {}).get(f"x-amz-meta-{WRITER}") == writer)


def list_files(location: str) -> list[str]:
    """Every object below a folder, relative to it, sorted.

    Raises FileNotFoundError if the bucket does not exist.
    """
    return sorted(versions(location))


def has_files(location: str) -> bool:
    """Whether there is any object below a folder."""
    bucket, prefix = bucket_and_prefix(location)
    with explained(location):
        found = client().list_objects(bucket, prefix=prefix, recursive=True)
        return next(iter(found), None) is not None


def fingerprints(location: str) -> dict[str, str]:
    """Size and ETag of every object below a folder."""
    return {
        name: f"{found.size_bytes} {found.etag}"
        for name, found in sorted(versions(location).items())
    }


def listing_hash(location: str, without: Sequence[str] = ()) -> str:
    """Hash over name, size and ETag of every object below a folder, however many there are.

    Args:
        without: folders that do not count.
    """
    bucket, prefix = bucket_and_prefix(location)
    left_out = tuple(
        inner for where, inner in map(bucket_and_prefix, without) if where == bucket and inner
    )
    own = hashlib.sha256()
    with explained(location):
        for found in client().list_objects(bucket, prefix=prefix, recursive=True):  # in order
            name = str(found.object_name)
            if not name.endswith("/") and not name.startswith(left_out):
                facts = [name[len(prefix) :], found.size, found.etag]
                own.update(f"{json.dumps(facts)}\n".encode())
    return own.hexdigest()


def versions(location: str) -> dict[str, Version]:
    """Every object below a folder, by its name relative to the folder."""
    bucket, prefix = bucket_and_prefix(location)
    with explained(location):
        return list_versions(bucket, prefix)


def has_content_of(path: Path, location: str, known: Version) -> bool:
    """Whether an object of a known version has the same content as a local file.

    The ETag usually is the MD5 of the content; where it is not, the object is read.
    """
    if known.size_bytes != path.stat().st_size:
        return False
    if has_md5_of(path, known):
        return True
    with path.open("rb") as file:
        for offset in range(0, known.size_bytes, _COMPARED_BYTES):
            file.seek(offset)
            if read_bytes(location, offset, _COMPARED_BYTES) != file.read(_COMPARED_BYTES):
                return False
    return True


def has_md5_of(path: Path, known: Version) -> bool:
    """Whether the ETag of an object says that it has the content of a local file. Not every ETag
    can: of one that is no MD5, nothing is known.
    """
    if known.size_bytes != path.stat().st_size:
        return False
    with path.open("rb") as file:
        return hashlib.file_digest(file, _md5).hexdigest() == known.etag


def list_folders(location: str) -> list[str]:
    """Names of the folders directly in a folder, sorted."""
    bucket, prefix = bucket_and_prefix(location)
    with explained(location):
        found = [
            str(o.object_name) for o in client().list_objects(bucket, prefix=prefix) if o.is_dir
        ]
    return sorted(name[len(prefix) :].rstrip("/") for name in found)


def download(location: str, target: Path) -> None:
    """Download one object to a local file. Raises FileNotFoundError that names the location."""
    bucket, key = bucket_and_key(location)
    with explained(location), target.open("w+b") as file:
        fetch(file, bucket, key)


def fetch(file: BinaryIO, bucket: str, key: str, offset: int = 0, length: int = 0) -> Version:
    """Write an object, or `length` bytes from `offset`, to a file.

    A whole object is checked against its ETag if that is an MD5. urllib3 repeats requests but not
    responses that break off: those are repeated here.
    """
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
        f"s3://{bucket}/{key} arrived damaged {TRIES} times (its MD5 is not its ETag): "
        "check the object store"
    )


def _md5() -> hashlib._Hash:
    return hashlib.md5(usedforsecurity=False)


def _is_md5(etag: str, response: BaseHTTPResponse) -> bool:
    """Whether the ETag is an MD5.

    It is not after a multipart upload or with a key of KMS or the customer.
    """
    encryption = response.headers.get("x-amz-server-side-encryption", "AES256")
    has_own_key = "x-amz-server-side-encryption-customer-algorithm" in response.headers
    return bool(_MD5.fullmatch(etag)) and encryption == "AES256" and not has_own_key


def put_file(bucket: str, key: str, path: Path) -> None:
    """Upload a file; a large one goes in several parts."""
    try:
        written = client().fput_object(bucket, key, str(path))
    except S3Error as error:
        if error.code != "NoSuchUpload":
            raise
        # The store joined the parts, but the answer was lost and the request repeated: start over.
        written = client().fput_object(bucket, key, str(path))
    if not written.etag:  # S3 may answer 200 first and report the failure in the body
        raise OSError(f"s3://{bucket}/{key}: the object store could not join the parts: try again")


def version(bucket: str, key: str) -> Version | None:
    """Version of an object, or None if it does not exist."""
    try:
        found = client().stat_object(bucket, key)
    except S3Error as error:
        if error.code in MISSING:
            return None
        raise
    return Version(found.size or 0, found.etag or "")


def list_versions(bucket: str, prefix: str) -> dict[str, Version]:
    """Version of each object below the prefix, by its name without the prefix.

    Empty objects whose names end in a slash are left out: consoles use them to show folders.
    """
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
    """Do the work on each item. After the first failure, no further item is begun."""
    with ThreadPoolExecutor(num_threads) as pool:
        futures = [pool.submit(work, item) for item in items]
        try:
            for future in as_completed(futures):
                future.result()
        finally:
            pool.shutdown(cancel_futures=True)
