"""URLs -> bytes: `file://`, `http://` and `https://`, with a limit on time and size."""

from __future__ import annotations

import itertools
import time
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from http.client import HTTPException, IncompleteRead
from pathlib import Path
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit
from urllib.request import Request, url2pathname, urlopen

from omnidet import __version__

TRIES = 3
WAIT_SECONDS = 0.5
"""Before the second try; each further wait is twice as long."""
CHUNK_BYTES = 1 << 16


def fetch(url: str, timeout_seconds: float = 10, max_bytes: int = 20_000_000) -> bytes:
    """The content behind a URL. Raises OSError with one line that names the URL and the reason.

    A server that is busy (429, 5xx) or slow is asked three times. `timeout_seconds` bounds each try as a whole, so that a
    server that sends a byte now and then cannot hold a run.
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
        except (
            OSError,
            ValueError,
            HTTPException,
        ) as error:  # ValueError: urllib on malformed hosts and ports
            problem = error
            if isinstance(error, HTTPError):
                error.close()
            if not _passing(error):
                break
    raise OSError(f"{url[:200]!r} cannot be fetched: {problem}") from problem


def fetch_all(urls: Iterable[str], num_threads: int = 16) -> Iterator[bytes | OSError]:
    """`fetch` of each URL, in order and by several threads; an OSError stands where one failed.

    No more than four URLs a thread are under way or waiting, so memory does not grow with the list.
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
    deadline = time.monotonic() + timeout_seconds
    content = bytearray()
    request = Request(url, headers={"User-Agent": f"omnidet/{__version__}"})
    with urlopen(request, timeout=timeout_seconds) as response:
        while chunk := response.read1(CHUNK_BYTES):
            content += chunk
            if len(content) > max_bytes:
                raise OSError(f"larger than {max_bytes} bytes")
            if time.monotonic() > deadline:
                raise TimeoutError(f"not complete after {timeout_seconds} seconds")
        if response.length:  # read1 takes an early end for the end
            raise IncompleteRead(bytes(content), response.length)
    return bytes(content)


def _passing(error: Exception) -> bool:
    """Whether the same request may succeed a moment later."""
    if isinstance(error, HTTPError):
        return error.code == 429 or error.code >= 500
    return isinstance(error, TimeoutError | IncompleteRead) or (
        isinstance(error, URLError) and isinstance(error.reason, TimeoutError)
    )
