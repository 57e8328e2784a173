"""How an S3 server is reached: endpoint, certificates, credentials, patience.

Its errors become one line each.

All settings come from the environment (`docs/storage.md` lists the variables). Each request is
tried five times over about 20 seconds, which outlasts the restart of a server. What still fails is
an `OSError` of one line that names the location, the endpoint and the remedy, and never a
credential.
"""

from __future__ import annotations

import functools
import os
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import certifi
from minio import Minio
from minio.credentials import providers
from minio.credentials.credentials import Credentials
from minio.error import MinioException, S3Error
from urllib3 import BaseHTTPResponse, HTTPHeaderDict, PoolManager
from urllib3.exceptions import HTTPError, MaxRetryError, ResponseError, SSLError
from urllib3.util import Retry, Timeout

from omnidet.http import RETRY_STATUSES

CERTIFICATES = "OMNIDET_CA_CERTIFICATES"
TRIES = 5
WAIT_SECONDS = 1.5
"""The second try follows at once, the others after 3, 6 and 10 seconds."""
CONNECT_SECONDS = 4.0
READ_SECONDS = 60.0
MAX_CONNECTIONS = 32
MISSING = ("NoSuchKey", "NoSuchObject")
WRITER = "omnidet-writer"
"""Metadata that marks an object as written by one caller.

A PUT that carries it fails if the object exists.
"""
_REFUSED = (
    "AccessDenied",
    "SignatureDoesNotMatch",
    "InvalidAccessKeyId",
    "ExpiredToken",
    "InvalidToken",
    "TokenRefreshRequired",
)


def bucket_and_key(location: str) -> tuple[str, str]:
    """Bucket and key of `s3://bucket/key`. Raises ValueError if either is missing."""
    bucket, key = bucket_and_prefix(location)
    if not key:
        raise ValueError(
            f"{location} names a bucket but nothing in it: an object store URI is s3://bucket/key"
        )
    return bucket, key.removesuffix("/")


def bucket_and_prefix(location: str) -> tuple[str, str]:
    """Bucket of a folder, and the prefix of its keys, which is "" for a whole bucket."""
    # Not urlsplit: a key may contain `?` and `#`.
    bucket, _, key = location.removeprefix("s3://").partition("/")
    if not bucket:
        raise ValueError(f"{location!r} names no bucket: an object store URI is s3://bucket/key")
    key = key.strip("/")
    return bucket, f"{key}/" if key else ""


def client() -> Minio:
    """The client of this process.

    A forked worker gets its own: it must not use its parent's connections.
    """
    return _client(os.getpid())


def forget() -> None:
    """Drop the client, so that the next call reads the environment again."""
    _client.cache_clear()


@functools.lru_cache(maxsize=4)
def _client(process: int) -> Minio:  # noqa: ARG001  # part of the cache's key
    parts = urlsplit(_endpoint())
    trusted: dict[str, Any] = {
        "cert_reqs": "CERT_REQUIRED",
        "ca_certs": _certificates(),
        "ca_cert_data": _more_certificates(),
    }
    retries = Retry(
        TRIES - 1,
        other=1,  # bad certificates: trying again does not make them trusted
        allowed_methods=None,  # all our requests may be repeated, POST too
        status_forcelist=RETRY_STATUSES,
        backoff_factor=WAIT_SECONDS,
        backoff_max=10,
        respect_retry_after_header=False,  # a server may ask for hours
    )
    region = os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION") or "us-east-1"
    return Minio(
        parts.netloc,
        secure=parts.scheme == "https",
        region=region,
        credentials=_credentials(trusted),
        http_client=_ConditionalPool(
            timeout=Timeout(connect=CONNECT_SECONDS, read=READ_SECONDS),
            retries=retries,
            maxsize=MAX_CONNECTIONS,
            **trusted,
        ),
    )


def _endpoint() -> str:
    name = "AWS_ENDPOINT_URL_S3" if os.environ.get("AWS_ENDPOINT_URL_S3") else "AWS_ENDPOINT_URL"
    endpoint = os.environ.get(name) or "https://s3.amazonaws.com"
    parts = urlsplit(endpoint)
    if "@" in endpoint:
        raise ValueError(
            f"{name} contains a user or password: "
            "use AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY instead"
        )
    if parts.scheme not in ("http", "https") or not parts.netloc or parts.path.strip("/"):
        raise ValueError(f"{name}={endpoint!r} is not of the form http(s)://host:port")
    return f"{parts.scheme}://{parts.netloc}"


def _certificates() -> str:
    path = os.environ.get("AWS_CA_BUNDLE") or os.environ.get("SSL_CERT_FILE") or certifi.where()
    if not Path(path).is_file():
        raise ValueError(f"the CA bundle {path} (AWS_CA_BUNDLE or SSL_CERT_FILE) does not exist")
    return path


def _more_certificates() -> str | None:
    """Those that are trusted too, as text: a pod gets variables from a ConfigMap, and no file."""
    given = os.environ.get(CERTIFICATES)
    if not given:
        return None
    text = given.encode("ascii", "ignore").decode()  # comments may hold other letters
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cadata=text)
    except (ssl.SSLError, ValueError) as error:
        raise ValueError(
            f"{CERTIFICATES} holds no certificates in PEM ({error}): give the text of the CA's "
            "file, from BEGIN CERTIFICATE to END CERTIFICATE"
        ) from None
    return text


def _credentials(trusted: dict[str, Any]) -> providers.ChainedProvider:
    # The metadata service of a cloud answers at once or does not exist.
    metadata_service = PoolManager(
        timeout=Timeout(connect=2, read=10),
        retries=Retry(2, backoff_factor=0.5, status_forcelist=RETRY_STATUSES),
        **trusted,
    )
    return _Chain(
        [
            providers.EnvAWSProvider(),
            providers.EnvMinioProvider(),
            providers.AWSConfigProvider(),
            providers.IamAwsProvider(http_client=metadata_service),
        ]
    )


class _Chain(providers.ChainedProvider):
    def retrieve(self) -> Credentials:
        try:
            return super().retrieve()
        except (ValueError, HTTPError):
            raise PermissionError(
                "no credentials for the object store: "
                "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or give the pod a role"
            ) from None


class _ConditionalPool(PoolManager):
    """Adds `If-None-Match` to each PUT with a `WRITER` mark: minio has no parameter for it."""

    def urlopen(  # type: ignore[override]  # as urllib3 itself narrows its base class
        self, method: str, url: str, redirect: bool = True, **options: Any
    ) -> BaseHTTPResponse:
        headers = options.get("headers") or {}
        if method == "PUT" and f"x-amz-meta-{WRITER}" in headers:
            options["headers"] = HTTPHeaderDict(headers) | {"If-None-Match": "*"}
        return super().urlopen(method, url, redirect, **options)


@contextmanager
def explained(location: str) -> Iterator[None]:
    """Turn the client's errors into those that local files raise, with a message of one line."""
    try:
        yield
    except S3Error as error:
        raise _readable(error, location) from error
    except MinioException as error:
        reason = " ".join(str(error).partition(", Body:")[0].split())
        message = (
            f"{location}: {_endpoint()} does not answer as an object store ({reason}): "
            "check AWS_ENDPOINT_URL"
        )
        raise OSError(message) from error
    except HTTPError as error:
        cause = error.reason if isinstance(error, MaxRetryError) and error.reason else error
        text = " ".join(str(cause).rpartition(": ")[2].split())
        if isinstance(cause, SSLError):
            message = (
                f"the certificate of {_endpoint()} is not trusted ({text}): "
                f"set AWS_CA_BUNDLE to the file of its CA, or {CERTIFICATES} to its text"
            )
        elif isinstance(cause, ResponseError):
            message = (
                f"the object store at {_endpoint()} keeps failing ({text}): "
                "see its log, or try again later"
            )
        else:
            message = (
                f"no object store answers at {_endpoint()} ({text}): "
                "start it, or correct AWS_ENDPOINT_URL"
            )
        raise ConnectionError(f"{location}: {message}") from error


def _readable(error: S3Error, location: str) -> OSError:
    if error.code == "NoSuchBucket":
        bucket = bucket_and_prefix(location)[0]
        return FileNotFoundError(
            f"{location}: there is no bucket {bucket!r} at {_endpoint()}: "
            "create it, or correct the name"
        )
    if error.code in MISSING:
        return FileNotFoundError(f"{location} does not exist")
    if error.code in _REFUSED:
        return PermissionError(
            f"{location}: the object store at {_endpoint()} "
            f"refuses these credentials ({error.code})"
        )
    return OSError(f"{location}: {error.code}: {' '.join((error.message or '').split())}")
