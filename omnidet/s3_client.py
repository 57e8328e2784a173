"""How an S3 server is reached: endpoint, certificates, credentials, patience; and its errors in one line.

All of it comes from the environment (`docs/storage.md` lists the variables). Each request is tried five times over about 20
seconds, so a server that restarts is ridden out. What still fails is an `OSError` of one line that names the location, the
endpoint and the remedy, and never a credential.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import certifi
from minio import Minio
from minio.credentials import providers
from minio.credentials.credentials import Credentials
from minio.error import MinioException, S3Error
from urllib3 import PoolManager
from urllib3.exceptions import HTTPError, MaxRetryError, ResponseError, SSLError
from urllib3.util import Retry, Timeout

from omnidet.http import RETRY_STATUSES

TRIES = 5
WAIT_SECONDS = 1.5
"""The second try comes at once, the others after 3, 6 and 10 seconds."""
CONNECT_SECONDS = 4.0
READ_SECONDS = 60.0
MAX_CONNECTIONS = 32
MISSING = ("NoSuchKey", "NoSuchObject")
_REFUSED = (
    "AccessDenied",
    "SignatureDoesNotMatch",
    "InvalidAccessKeyId",
    "ExpiredToken",
    "InvalidToken",
    "TokenRefreshRequired",
)


def bucket_and_key(location: str) -> tuple[str, str]:
    """Bucket and key of `s3://bucket/key`. Raises ValueError where one is missing."""
    bucket, key = bucket_and_prefix(location)
    if not key:
        raise ValueError(
            f"{location} names a bucket but nothing in it: an object store URI is s3://bucket/key"
        )
    return bucket, key.removesuffix("/")


def bucket_and_prefix(location: str) -> tuple[str, str]:
    """Bucket, and what the keys of the folder begin with: its own key and a slash, or nothing for a whole bucket."""
    # Not by urlsplit: a key may hold `?` and `#`.
    bucket, _, key = location.removeprefix("s3://").partition("/")
    if not bucket:
        raise ValueError(f"{location!r} names no bucket: an object store URI is s3://bucket/key")
    key = key.strip("/")
    return bucket, f"{key}/" if key else ""


def _endpoint() -> str:
    name = "AWS_ENDPOINT_URL_S3" if os.environ.get("AWS_ENDPOINT_URL_S3") else "AWS_ENDPOINT_URL"
    endpoint = os.environ.get(name) or "https://s3.amazonaws.com"
    parts = urlsplit(endpoint)
    if "@" in endpoint:
        raise ValueError(
            f"{name} holds a user or password: give them in AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
        )
    if parts.scheme not in ("http", "https") or not parts.netloc or parts.path.strip("/"):
        raise ValueError(f"{name}={endpoint!r} is not of the form http(s)://host:port")
    return f"{parts.scheme}://{parts.netloc}"


def client() -> Minio:
    """The client of this process: a forked worker must not talk over its parent's connections."""
    return _client(os.getpid())


@functools.lru_cache(maxsize=4)
def _client(process: int) -> Minio:
    parts = urlsplit(_endpoint())
    certificates = (
        os.environ.get("AWS_CA_BUNDLE") or os.environ.get("SSL_CERT_FILE") or certifi.where()
    )
    if not Path(certificates).is_file():
        raise ValueError(
            f"the CA bundle {certificates} (AWS_CA_BUNDLE or SSL_CERT_FILE) does not exist"
        )
    verified = functools.partial(PoolManager, cert_reqs="CERT_REQUIRED", ca_certs=certificates)
    retries = Retry(
        TRIES - 1,
        other=1,  # certificates: a second look does not make them trusted
        allowed_methods=None,  # every request of ours may be repeated, POST too
        status_forcelist=RETRY_STATUSES,
        backoff_factor=WAIT_SECONDS,
        backoff_max=10,
        respect_retry_after_header=False,  # a server may ask for hours
    )
    timeout = Timeout(connect=CONNECT_SECONDS, read=READ_SECONDS)
    # The metadata service of a cloud answers at once or is not there.
    identity = verified(
        timeout=Timeout(connect=2, read=10),
        retries=Retry(2, backoff_factor=0.5, status_forcelist=RETRY_STATUSES),
    )
    chain = _Chain(
        [
            providers.EnvAWSProvider(),
            providers.EnvMinioProvider(),
            providers.AWSConfigProvider(),
            providers.IamAwsProvider(http_client=identity),
        ]
    )
    region = os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION") or "us-east-1"
    http = verified(timeout=timeout, retries=retries, maxsize=MAX_CONNECTIONS)
    return Minio(
        parts.netloc,
        secure=parts.scheme == "https",
        region=region,
        credentials=chain,
        http_client=http,
    )


class _Chain(providers.ChainedProvider):
    def retrieve(self) -> Credentials:
        try:
            return super().retrieve()
        except (ValueError, HTTPError):
            raise PermissionError(
                "no credentials for the object store: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or give the pod a role"
            ) from None


@contextmanager
def explained(location: str) -> Iterator[None]:
    """Errors in the terms that a caller of local files knows, in one line."""
    try:
        yield
    except S3Error as error:
        raise _readable(error, location) from error
    except MinioException as error:
        reason = " ".join(str(error).partition(", Body:")[0].split())
        message = f"{location}: {_endpoint()} does not answer as an object store ({reason}): check AWS_ENDPOINT_URL"
        raise OSError(message) from error
    except HTTPError as error:
        cause = error.reason if isinstance(error, MaxRetryError) and error.reason else error
        text = " ".join(str(cause).rpartition(": ")[2].split())
        if isinstance(cause, SSLError):
            message = f"the certificate of {_endpoint()} is not trusted ({text}): name its CA's file in AWS_CA_BUNDLE"
        elif isinstance(cause, ResponseError):
            message = f"the object store at {_endpoint()} keeps failing ({text}): see its log, or try again later"
        else:
            message = f"no object store answers at {_endpoint()} ({text}): start it, or correct AWS_ENDPOINT_URL"
        raise ConnectionError(f"{location}: {message}") from error


def _readable(error: S3Error, location: str) -> OSError:
    if error.code == "NoSuchBucket":
        bucket = bucket_and_prefix(location)[0]
        return FileNotFoundError(
            f"{location}: there is no bucket {bucket!r} at {_endpoint()}: create it or correct the name"
        )
    if error.code in MISSING:
        return FileNotFoundError(f"{location} does not exist")
    if error.code in _REFUSED:
        return PermissionError(
            f"{location}: the object store at {_endpoint()} refuses these credentials ({error.code})"
        )
    return OSError(f"{location}: {error.code}: {' '.join((error.message or '').split())}")
