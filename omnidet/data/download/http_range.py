"""Asking an HTTP server for what is missing of a file, and judging the answer.

`Range` and `If-Range` (RFC 9110, 13.1.5 and 14) ask for the rest; a file that changed in the meantime comes anew.
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
    AgainError,
    GiveUpError,
    PartialFile,
    require_room,
)
from omnidet.http import REDIRECT_STATUSES, RETRY_STATUSES, brief, connections, retry_after

MAX_REDIRECTS = 5


@dataclass(frozen=True)
class Patience:
    """How long a server is waited for."""

    tries: int = 6
    """Tries in a row that brought next to nothing before a mirror is given up."""
    wait_seconds: float = 1.0
    """Before the second try; each further wait is twice as long, with a random part."""
    max_wait_seconds: float = 120.0
    """A server that asks for a longer wait by `Retry-After` is given up for the next mirror."""
    connect_seconds: float = 15.0
    read_seconds: float = 60.0
    """Without a byte."""
    window_seconds: float = 60.0
    min_bytes_per_second: int = 1000
    """A connection slower than this over a window is closed and opened anew."""


def request(url: str, file: RemoteFile, part: PartialFile, patience: Patience) -> None:
    """Ask once for what is missing. Returns if the answer says that nothing more is to come."""
    headers = {"User-Agent": f"omnidet/{__version__}", "Accept-Encoding": "identity"}
    if not (
        part.validator or file.sha256 or file.md5
    ):  # nothing would show that the rest is of another version
        part.clear()
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
        raise AgainError(f"its name is not known ({brief(error)})") from error
    except (urllib3.exceptions.HTTPError, TimeoutError) as error:
        raise AgainError(brief(error)) from error


def _follow(
    url: str,
    file: RemoteFile,
    headers: dict[str, str],
    timeout: urllib3.Timeout,
) -> urllib3.BaseHTTPResponse:
    """The answer behind redirects; the token goes to the first host alone, and https is never left."""
    token = os.environ.get(file.token, "") if file.token else ""
    if file.token and not token:
        raise GiveUpError(f"it needs an access token: set {file.token}")
    here = url
    for _ in range(MAX_REDIRECTS):
        own = (
            urlsplit(here).netloc == urlsplit(url).netloc
            and urlsplit(here).scheme == urlsplit(url).scheme
        )
        sent = headers | ({"Authorization": f"Bearer {token}"} if token and own else {})
        response = connections(here).request(
            "GET",
            here,
            headers=sent,
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
                f"it redirects to {place[:200]!r}, which is no address ({error})"
            ) from error
        if scheme not in ("http", "https"):
            raise GiveUpError(f"it redirects to {there[:200]!r}, which is not fetched")
        if urlsplit(here).scheme == "https" and scheme == "http" and not file.sha256:
            raise GiveUpError(
                f"it redirects from https to {there[:200]!r}, and no SHA-256 is known to check what comes"
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
        told = response.headers.get("Content-Range", "").rpartition("/")[2]
        if have and told == str(have) and file.size_bytes in (None, have):
            return
        part.clear()
        raise AgainError("it has no bytes behind those that are here: beginning anew")
    if status in RETRY_STATUSES:
        raise AgainError(f"HTTP {status}", retry_after(response.headers.get("Retry-After")))
    if status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN):
        raise GiveUpError(
            f"HTTP {status}: access is refused; accept the dataset's terms, or give a token"
        )
    if status not in (HTTPStatus.OK, HTTPStatus.PARTIAL_CONTENT):
        raise GiveUpError(
            f"HTTP {status}: see where the file is now, and give a catalogue with that address (--catalogue)"
        )
    begin, total = _extent(response)
    if status == HTTPStatus.PARTIAL_CONTENT and (begin != have or not have):
        part.clear()
        raise AgainError(
            f"it sent bytes from {begin} on, asked were those from {have} on: beginning anew"
        )
    if total is not None and file.size_bytes is not None and total != file.size_bytes:
        raise GiveUpError(f"it announces {total} bytes, expected are {file.size_bytes}")
    if status == HTTPStatus.OK:
        part.clear()  # before the note: what is here is not of the version that comes
        part.begin(_validator(response))
    require_room((total or 0) - have, part)
    part.write(
        _chunks(response, file, begin, patience), append=status == HTTPStatus.PARTIAL_CONTENT
    )
    if total is not None and part.size < total:
        raise AgainError(f"the connection ended after {part.size} of {total} bytes")
    if file.size_bytes is not None and part.size < file.size_bytes:
        raise AgainError(f"the connection ended after {part.size} of {file.size_bytes} bytes")


def _extent(response: urllib3.BaseHTTPResponse) -> tuple[int, int | None]:
    """First byte of the answer, and the size of the whole file where it is told."""
    if response.status == HTTPStatus.PARTIAL_CONTENT:
        span, _, whole = (
            response.headers.get("Content-Range", "").removeprefix("bytes ").partition("/")
        )
        begin = span.partition("-")[0]
        return int(begin) if begin.isdecimal() else -1, int(whole) if whole.isdecimal() else None
    length = response.headers.get("Content-Length", "")
    return 0, int(length) if length.isdecimal() else None


def _validator(response: urllib3.BaseHTTPResponse) -> str:
    """What `If-Range` may name: a strong ETag, else the date of the last change."""
    etag = response.headers.get("ETag", "")
    return etag if etag.startswith('"') else response.headers.get("Last-Modified", "")


def _chunks(
    response: urllib3.BaseHTTPResponse, file: RemoteFile, begin: int, patience: Patience
) -> Iterator[bytes]:
    """What comes, as long as it comes fast enough and is not more than the file."""
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
                raise AgainError(f"only {in_window} bytes came in {seconds:.0f} seconds")
            window, in_window = time.monotonic(), 0
