"""One way to read, list and atomically write local paths and `s3://bucket/key` URIs.

An S3 server is found by the environment alone: `AWS_ENDPOINT_URL` (or `AWS_ENDPOINT_URL_S3`; default AWS), `AWS_REGION`,
and the usual credential chain (`AWS_ACCESS_KEY_ID`/`AWS_SECRET_ACCESS_KEY`, `MINIO_*`, the AWS configuration file, IAM or
web identity). Keys never stand in parameters, files or logs. A CA bundle is taken from `SSL_CERT_FILE`.

Whole folders are written with `staged_directory`: a killed process leaves either the old folder or the new one.
"""

from __future__ import annotations

import functools
import io
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

from minio import Minio
from minio.credentials import providers
from minio.error import S3Error

INDEX_NAME = "index.json"
"""The file that makes a folder whole: on an object store it is written last and read first."""


def is_s3(location: str | os.PathLike[str]) -> bool:
    """Whether the location is an object store URI."""
    return str(location).startswith("s3://")


def join(location: str | os.PathLike[str], *parts: str) -> str:
    """The location of something inside a folder, local or `s3://`."""
    return "/".join([str(location).rstrip("/"), *parts]) if parts else str(location)


def exists(location: str | os.PathLike[str]) -> bool:
    """Whether there is a file or object at the location (a folder counts locally only)."""
    if not is_s3(location):
        return Path(location).exists()
    bucket, key = _bucket_and_key(location)
    try:
        _client().stat_object(bucket, key)
    except S3Error as error:
        if error.code in ("NoSuchKey", "NoSuchBucket", "NoSuchObject"):
            return False
        raise _readable(error, location) from error
    return True


def read_bytes(location: str | os.PathLike[str], offset: int = 0, length: int | None = None) -> bytes:
    """The content, or `length` bytes from `offset`. Raises FileNotFoundError that names the location."""
    if not is_s3(location):
        with open(location, "rb") as file:
            file.seek(offset)
            return file.read() if length is None else file.read(length)
    bucket, key = _bucket_and_key(location)
    try:
        response = _client().get_object(bucket, key, offset=offset, length=length or 0)
    except S3Error as error:
        raise _readable(error, location) from error
    try:
        return response.read()
    finally:
        response.close()
        response.release_conn()


def read_text(location: str | os.PathLike[str]) -> str:
    """The content as UTF-8 text."""
    return read_bytes(location).decode()


def write_bytes(location: str | os.PathLike[str], content: bytes) -> None:
    """Write the content so that a reader sees the old file or the whole new one, never a part."""
    if is_s3(location):
        bucket, key = _bucket_and_key(location)
        try:
            _client().put_object(bucket, key, io.BytesIO(content), len(content))
        except S3Error as error:
            raise _readable(error, location) from error
        return
    target = Path(location)
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=target.parent, prefix=f".{target.name}.", delete=False) as file:
        temporary = Path(file.name)
        try:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        except BaseException:
            temporary.unlink()
            raise
    _give_default_mode(temporary)
    temporary.replace(target)


def write_text(location: str | os.PathLike[str], content: str) -> None:
    """Write UTF-8 text as `write_bytes` does."""
    write_bytes(location, content.encode())


def list_files(location: str | os.PathLike[str]) -> list[str]:
    """Every file below a folder, as sorted paths relative to it; empty where there is no such folder."""
    if not is_s3(location):
        root = Path(location)
        return sorted(p.relative_to(root).as_posix() for p in root.rglob("*") if p.is_file())
    bucket, key = _bucket_and_key(location)
    prefix = key.rstrip("/") + "/" if key else ""
    try:
        found = [str(o.object_name) for o in _client().list_objects(bucket, prefix=prefix, recursive=True)]
    except S3Error as error:
        raise _readable(error, location) from error
    return sorted(name[len(prefix) :] for name in found)


def local_copy(location: str | os.PathLike[str], cache: str | os.PathLike[str]) -> Path:
    """A local path to read the folder or file from: itself where it is local, else fetched once into `cache`."""
    if not is_s3(location):
        if not Path(location).exists():
            raise FileNotFoundError(f"{location} does not exist")
        return Path(location)
    bucket, key = _bucket_and_key(location)
    target = Path(cache) / bucket / key
    names = list_files(location)
    if not names and not exists(location):
        raise FileNotFoundError(f"{location} does not exist")
    for name in names:
        if not (target / name).exists():
            write_bytes(target / name, read_bytes(join(location, name)))
    if not names and not target.exists():
        write_bytes(target, read_bytes(location))
    return target


@contextmanager
def staged_directory(location: str | os.PathLike[str]) -> Iterator[Path]:
    """A fresh local folder that becomes `location` when the block ends well and vanishes when it does not.

    A local folder is moved into place, an `s3://` folder uploaded with its index file last.
    """
    if is_s3(location):
        with tempfile.TemporaryDirectory(prefix="omnidet-") as temporary:
            yield Path(temporary)
            _upload(Path(temporary), str(location))
        return
    target = Path(location)
    target.parent.mkdir(parents=True, exist_ok=True)
    # A killed process leaves its stage behind: nothing reads it, and the next run clears it here.
    for stale in target.parent.glob(f".{target.name}.stage-*"):
        shutil.rmtree(stale, ignore_errors=True)
    stage = Path(tempfile.mkdtemp(dir=target.parent, prefix=f".{target.name}.stage-"))
    try:
        yield stage
        stage.chmod(0o755)
        if target.exists():
            retired = Path(tempfile.mkdtemp(dir=target.parent, prefix=f".{target.name}.stage-"))
            target.rename(retired / target.name)
            stage.rename(target)
            shutil.rmtree(retired)
        else:
            stage.rename(target)
    finally:
        shutil.rmtree(stage, ignore_errors=True)


def _upload(folder: Path, location: str) -> None:
    names = list_files(folder)
    for name in sorted(names, key=lambda name: name == INDEX_NAME):
        bucket, key = _bucket_and_key(join(location, name))
        try:
            _client().fput_object(bucket, key, str(folder / name))
        except S3Error as error:
            raise _readable(error, join(location, name)) from error


def _give_default_mode(path: Path) -> None:
    """Temporary files are private; what is published has the mode that any new file would have."""
    mask = os.umask(0)
    os.umask(mask)
    path.chmod(0o666 & ~mask)


def _bucket_and_key(location: str | os.PathLike[str]) -> tuple[str, str]:
    parts = urlsplit(str(location))
    if not parts.netloc:
        raise ValueError(f"{location!r} names no bucket: an object store URI is s3://bucket/key")
    return parts.netloc, parts.path.lstrip("/")


@functools.lru_cache(maxsize=1)
def _client() -> Minio:
    endpoint = os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL") or "https://s3.amazonaws.com"
    parts = urlsplit(endpoint)
    if parts.scheme not in ("http", "https") or not parts.netloc:
        raise ValueError(f"AWS_ENDPOINT_URL={endpoint!r} is not of the form http(s)://host:port")
    chain = providers.ChainedProvider(
        [
            providers.EnvAWSProvider(),
            providers.EnvMinioProvider(),
            providers.AWSConfigProvider(),
            providers.IamAwsProvider(),
        ]
    )
    region = os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION") or "us-east-1"
    return Minio(parts.netloc, secure=parts.scheme == "https", region=region, credentials=chain)


def _readable(error: S3Error, location: str | os.PathLike[str]) -> Exception:
    """The error in the terms a caller of local files knows."""
    if error.code in ("NoSuchKey", "NoSuchBucket", "NoSuchObject"):
        return FileNotFoundError(f"{location} does not exist")
    if error.code in ("AccessDenied", "SignatureDoesNotMatch", "InvalidAccessKeyId"):
        return PermissionError(f"{location}: the object store refuses these credentials ({error.code})")
    return OSError(f"{location}: {error.code}: {error.message}")
