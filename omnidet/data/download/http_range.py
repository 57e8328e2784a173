"""Requests the missing rest of a file from an HTTP server, and judges the response.

`Range` and `If-Range` (RFC 9110, 13.1.5 and 14) request the rest. A file that changed meanwhile is
sent from the start.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from http import HTTPStatus
from urllib.parse import urljoin, urlsplit

import urllib3

from omnidet import __version__
from omnidet.data.download.catalogue import RemoteFile
from omnidet.data.download.partial_file import (
    CHUNK_BYTES,
    GiveUpError,
    PartialFile,
    TryAgainError,
    require_room,
)
from omnidet.http import REDIRECT_STATUSES, RETRY_STATUSES, brief, connections, retry_after

MAX_REDIRECTS = 5


@dataclass(frozen=True)
class Patience:
    """How long to wait for a server."""

    tries: int = 6
    """Tries in a row that brought next to nothing, after which a mirror is given up."""
    wait_seconds: float = 1.0
    """Before the second try; each further wait is twice as long, with a random part."""
    max_wait_seconds: float = 120.0
    """A server whose `Retry-After` asks for a longer wait is given up for the next mirror."""
    connect_seconds: float = 15.0
    read_seconds: float = 60.0
    """Longest time without a byte."""
    window_seconds: float = 60.0
    min_bytes_per_second: int = 1000
    """A connection slower than this over a window is closed and opened again."""


def request(url: str, file: RemoteFile, part: PartialFile, patience: Patience) -> None:
    """Request what is missing, once. Returns if the response says that the file is complete.

    Raises TryAgainError, GiveUpError or TransferError.
    """
    headers = {"User-Agent": f"omnidet/{__version__}", "Accept-Encoding": "identity"}
    if not (part.validator or file.sha256 or file.md5):
        part.clear()  # nothing could tell whether the rest belongs to the same version
    have = part.size
    if have and have == file.size_bytes:
        return
    if have:
        headers["Range"] = f"bytes={have}-"
        if part.validator:
            headers["If-Range"] = part.validator
    timeout = urllib3.Timeout(connect=patience.connect_seconds, read=patience.read_seconds)
    try:
        response = _follow(url, file, headers, timeout)
        try:
            _receive(response, file, part, have, patience)
        finally:
            response.close()
    except (urllib3.exceptions.LocationValueError, urllib3.exceptions.SSLError) as error:
        raise GiveUpError(brief(error)) from error
    except urllib3.exceptions.NameResolutionError as error:
        raise TryAgainError(f"the name of its host is unknown ({brief(error)})") from error
    except (urllib3.exceptions.HTTPError, TimeoutError) as error:
        raise TryAgainError(brief(error)) from error


def _follow(
    url: str, file: RemoteFile, headers: dict[str, str], timeout: urllib3.Timeout
) -> urllib3.BaseHTTPResponse:
    """The response behind redirects.

    The token is sent only to the first host. A redirect from https to http is refused unless the
    file's SHA-256 is known.
    """
    token = os.environ.get(file.token, "") if file.token else ""
    if file.token and not token:
        raise GiveUpError(f"it needs an access token: set {file.token}")
    here = url
    for _ in range(MAX_REDIRECTS):
        same_host = urlsplit(here)[:2] == urlsplit(url)[:2]  # scheme and netloc
        authorization = {"Authorization": f"Bearer {token}"} if token and same_host else {}
        response = connections(here).request(
            "GET",
            here,
            headers=headers | authorization,
            timeout=timeout,
            retries=False,
            redirect=False,
            preload_content=False,
            decode_content=False,
        )
        place = response.headers.get("Location")
        if response.status not in REDIRECT_STATUSES or not place:
            return response
        response.close()
        try:
            there = urljoin(here, place)
            scheme = urlsplit(there).scheme
        except ValueError as error:
            raise GiveUpError(
                f"it redirects to {place[:200]!r}, which is not a URL ({error})"
            ) from error
        if scheme not in ("http", "https"):
            raise GiveUpError(f"it redirects to {there[:200]!r}, which is not http(s)")
        if urlsplit(here).scheme == "https" and scheme == "http" and not file.sha256:
            raise GiveUpError(
                f"it redirects from https to {there[:200]!r}, "
                "and no SHA-256 is known to check the content"
            )
        here = there
    raise GiveUpError(f"it redirects more than {MAX_REDIRECTS} times")


def _receive(
    response: urllib3.BaseHTTPResponse,
    file: RemoteFile,
    part: PartialFile,
    have: int,
    patience: Patience,
) -> None:
    status = response.status
    if status == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
        total_text = response.headers.get("Content-Range", "").rpartition("/")[2]
        if have and total_text == str(have) and file.size_bytes in (None, have):
            return
        part.clear()
        raise TryAgainError("it has no bytes after those that have arrived: starting over")
    if status in RETRY_STATUSES:
        raise TryAgainError(f"HTTP {status}", retry_after(response.headers.get("Retry-After")))
    if status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN):
        raise GiveUpError(
            f"HTTP {status}: access denied; accept the dataset's terms, or give a token"
        )
    if status not in (HTTPStatus.OK, HTTPStatus.PARTIAL_CONTENT):
        raise GiveUpError(
            f"HTTP {status}: find where the file is now, "
            "and give a catalogue with that URL (--catalogue)"
        )
    begin, total = _extent(response)
    if status == HTTPStatus.PARTIAL_CONTENT and (begin != have or not have):
        part.clear()
        raise TryAgainError(
            f"it sent bytes from {begin}, requested were bytes from {have}: starting over"
        )
    if total is not None and file.size_bytes is not None and total != file.size_bytes:
        raise GiveUpError(f"it announces {total} bytes, expected {file.size_bytes}")
    if status == HTTPStatus.OK:
        part.clear()  # first: what has arrived is not of the version that follows
        part.begin(_validator(response))
    require_room((total or 0) - have, part)
    part.write(
        _chunks(response, file, begin, patience), append=status == HTTPStatus.PARTIAL_CONTENT
    )
    if total is not None and part.size < total:
        raise TryAgainError(f"the connection ended after {part.size} of {total} bytes")
    if file.size_bytes is not None and part.size < file.size_bytes:
        raise TryAgainError(f"the connection ended after {part.size} of {file.size_bytes} bytes")


def _extent(response: urllib3.BaseHTTPResponse) -> tuple[int, int | None]:
    """Position of the response's first byte, and the size of the whole file if it is stated."""
    if response.status == HTTPStatus.PARTIAL_CONTENT:
        span, _, whole = (
            response.headers.get("Content-Range", "").removeprefix("bytes ").partition("/")
        )
        begin = span.partition("-")[0]
        return int(begin) if begin.isdecimal() else -1, int(whole) if whole.isdecimal() else None
    length = response.headers.get("Content-Length", "")
    return 0, int(length) if length.isdecimal() else None


def _validator(response: urllib3.BaseHTTPResponse) -> str:
    """What `If-Range` may contain: a strong ETag, else the date of the last change."""
    etag = response.headers.get("ETag", "")
    return etag if etag.startswith('"') else response.headers.get("Last-Modified", "")


def _chunks(
    response: urllib3.BaseHTTPResponse, file: RemoteFile, begin: int, patience: Patience
) -> Iterator[bytes]:
    """What arrives, as long as it arrives fast enough and is not more than the file."""
    size = begin
    window, in_window = time.monotonic(), 0
    while chunk := response.read1(CHUNK_BYTES):
        size += len(chunk)
        if file.size_bytes is not None and size > file.size_bytes:
            raise GiveUpError(f"it sends more than the expected {file.size_bytes} bytes")
        yield chunk
        in_window += len(chunk)
        seconds = time.monotonic() - window
        if seconds > patience.window_seconds:
            if in_window < patience.min_bytes_per_second * seconds:
                raise TryAgainError(f"only {in_window} bytes arrived in {seconds:.0f} seconds")
            window, in_window = time.monotonic(), 0
