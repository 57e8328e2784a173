"""URLs -> bytes: `file://`, `http://` and `https://`, with limits on time and size."""

from __future__ import annotations

import itertools
import time
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from http import HTTPStatus
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import url2pathname

from urllib3 import exceptions
from urllib3.util import Retry

from omnidet import __version__, http

TRIES = 3
WAIT_SECONDS = 0.5
"""Before the second try; each further wait is twice as long."""
CHUNK_BYTES = 1 << 16
_REDIRECTS_ONLY = Retry(
    None, connect=False, read=False, redirect=10, respect_retry_after_header=False
)
"""What urllib3 itself repeats: nothing but redirects. False lets errors through as they are."""


class _TryAgainError(Exception):
    """The same request may succeed a moment later."""


def fetch(url: str, timeout_seconds: float = 10, max_bytes: int = 20_000_000) -> bytes:
    """The content behind a URL. Raises OSError with one line that names the URL and the reason.

    A server that is busy or slow is asked three times. `timeout_seconds` limits each try as a
    whole, so that a server that sends a byte now and then cannot hold up a run.
    """
    try:
        scheme = urlsplit(url).scheme
    except ValueError as error:
        raise OSError(f"{url[:200]!r} is not a URL: {error}") from error
    if scheme == "file":
        return _read_file(url, max_bytes)
    if scheme not in ("http", "https"):
        raise OSError(f"{url[:200]!r} cannot be fetched: use a file://, http:// or https:// URL")
    for attempt in range(TRIES):
        if attempt:
            time.sleep(WAIT_SECONDS * 2 ** (attempt - 1))
        try:
            return _get(url, timeout_seconds, max_bytes)
        except _TryAgainError as error:
            problem: Exception = error
        except (
            OSError,
            ValueError,
            exceptions.HTTPError,
        ) as error:  # ValueError: a malformed host or port
            problem = error
            break
    raise OSError(f"{url[:200]!r} cannot be fetched: {http.brief(problem)}") from problem


def fetch_all(urls: Iterable[str], num_threads: int = 16) -> Iterator[bytes | OSError]:
    """`fetch` each URL in several threads and yield the results in order; a failure is an OSError.

    At most four URLs per thread are under way or waiting, so memory does not grow with the list.
    """
    queue: deque[Future[bytes | OSError]] = deque()
    source = iter(urls)
    with ThreadPoolExecutor(num_threads) as pool:
        try:
            for url in itertools.islice(source, 4 * num_threads):
                queue.append(pool.submit(_fetch_or_error, url))
            while queue:
                yield queue.popleft().result()
                queue.extend(
                    pool.submit(_fetch_or_error, url) for url in itertools.islice(source, 1)
                )
        finally:
            pool.shutdown(cancel_futures=True)


def _fetch_or_error(url: str) -> bytes | OSError:
    try:
        return fetch(url)
    except OSError as error:
        return error


def _read_file(url: str, max_bytes: int) -> bytes:
    path = Path(url2pathname(urlsplit(url).path))
    try:
        with path.open("rb") as file:
            content = file.read(max_bytes + 1)
    except (OSError, ValueError) as error:  # ValueError: a zero byte in the name
        raise OSError(f"{url[:200]!r} cannot be read: {error}") from error
    if len(content) > max_bytes:
        raise OSError(f"{url[:200]!r} is larger than {max_bytes} bytes")
    return content


def _get(url: str, timeout_seconds: float, max_bytes: int) -> bytes:
    """One try. Raises _TryAgainError, OSError, ValueError or urllib3's HTTPError."""
    deadline = time.monotonic() + timeout_seconds
    content = bytearray()
    try:
        response = http.connections(url).request(
            "GET",
            url,
            headers={"User-Agent": f"omnidet/{__version__}"},
            timeout=timeout_seconds,
            retries=_REDIRECTS_ONLY,
            preload_content=False,
            decode_content=False,
        )
        try:
            if response.status != HTTPStatus.OK:
                problem = f"HTTP {response.status} {response.reason or ''}".strip()
                if response.status in http.RETRY_STATUSES:
                    raise _TryAgainError(problem)
                raise OSError(problem)
            while chunk := response.read1(CHUNK_BYTES):
                content += chunk
                if len(content) > max_bytes:
                    raise OSError(f"larger than {max_bytes} bytes")
                if time.monotonic() > deadline:
                    raise _TryAgainError(f"not complete after {timeout_seconds} seconds")
        finally:
            response.close()  # if all was read, the connection is back in its pool already
    except exceptions.MaxRetryError as error:
        raise error.reason or error from error
    except (
        exceptions.NewConnectionError
    ):  # nobody answers there; to urllib3 this is a TimeoutError too
        raise
    except (exceptions.ProtocolError, exceptions.TimeoutError) as error:
        raise _TryAgainError(http.brief(error)) from error
    return bytes(content)
