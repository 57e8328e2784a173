"""Pictures from other people's servers, many at once: polite, bounded, never the internal network.

The address of every connection is checked as it is made. This stops names that resolve to private
addresses, redirects into the internal network, and names that resolve differently the second time.
"""

from __future__ import annotations

import asyncio
import errno
import os
import random
import socket
import ssl
import time
import zlib
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

import aiohttp
import certifi
from yarl import URL

from omnidet import __version__
from omnidet.data.web_images import addresses
from omnidet.data.web_images.robots_tags import forbidden
from omnidet.http import REDIRECT_STATUSES, RETRY_STATUSES, retry_after

LARGE_BYTES = 1 << 20
LARGE_AT_ONCE = 16
"""Bodies over a megabyte that are in memory at once, which bounds it whatever servers send."""
HOPELESS = 3
"""After this many failed connections in a row, a fetcher stops asking a host."""
RESOLVER_THREADS = 16
PRIVATE = "private address"
UNKNOWN_HOST = "unknown host"
NO_CONNECTION = "no connection"
HOST_SILENT = "host does not answer"
NOT_REACHED = (UNKNOWN_HOST, NO_CONNECTION, HOST_SILENT)
"""Reasons if a host is gone, and for every host if this machine has no network."""
NOT_ASKED = (addresses.BAD, addresses.NOT_HTTP, addresses.WITH_PASSWORD)
"""Reasons that lie in the URL itself."""


@dataclass(frozen=True)
class Manners:
    """How servers are treated, and which responses are taken."""

    connections: int = 64
    """At once in each process."""
    per_host: int = 4
    """At once to one host in each process."""
    tries: int = 3
    wait_seconds: float = 1.0
    """Before the second try; each further wait is twice as long, with a random part."""
    max_wait_seconds: float = 30.0
    """A server that asks for a longer wait by `Retry-After` is not asked again."""
    connect_seconds: float = 10.0
    read_seconds: float = 10.0
    """Longest time without a byte."""
    total_seconds: float = 40.0
    """Longest time for a try as a whole."""
    max_bytes: int = 20_000_000
    max_redirects: int = 5
    refused_directives: tuple[str, ...] = ("noai", "noimageai")
    """A picture sent with one of these in `X-Robots-Tag` is not taken."""
    allow_private: bool = False
    """Also take pictures from loopback, link-local and private addresses."""
    agent: str = f"Mozilla/5.0 (compatible; omnidet/{__version__})"


class RefusedError(Exception):
    """A picture that was not obtained. `reason` is one of a few short texts, which are counted."""

    def __init__(
        self, reason: str, may_change: bool = False, wait_seconds: float | None = None
    ) -> None:
        super().__init__(reason)
        self.reason, self.may_change, self.wait_seconds = reason, may_change, wait_seconds


@dataclass
class _Host:
    slots: asyncio.Semaphore
    failures: int = 0
    paused_until: float = field(default=0.0)


class Fetcher:
    """Fetches pictures within one event loop. Made by `fetcher`."""

    def __init__(self, session: aiohttp.ClientSession, manners: Manners) -> None:
        self._session, self._manners = session, manners
        self._slots = asyncio.Semaphore(manners.connections)
        self._large = asyncio.Semaphore(LARGE_AT_ONCE)
        self._hosts: dict[str, _Host] = {}

    @asynccontextmanager
    async def fetch(self, address: str) -> AsyncIterator[bytes]:
        """The bytes behind a URL. Raises RefusedError.

        The slot among the pictures fetched at once is held until the block ends, so bytes do not
        pile up in memory, however long the block takes.
        """
        url = _parsed(address)
        host = self._hosts.setdefault(
            url.host or "", _Host(asyncio.Semaphore(self._manners.per_host))
        )
        async with host.slots, AsyncExitStack() as held:
            yield await self._patiently(url, host, held)

    async def _patiently(self, url: URL, host: _Host, held: AsyncExitStack) -> bytes:
        for attempt in range(self._manners.tries):
            if host.failures >= HOPELESS:
                raise RefusedError(HOST_SILENT)
            await asyncio.sleep(max(0.0, host.paused_until - time.monotonic()))
            try:
                async with AsyncExitStack() as permits:
                    await permits.enter_async_context(self._slots)
                    content = await self._try(url, permits)
                    await held.enter_async_context(permits.pop_all())
            except RefusedError as error:
                unreachable = error.reason in (NO_CONNECTION, UNKNOWN_HOST)
                host.failures = host.failures + 1 if unreachable else 0
                if not error.may_change or attempt == self._manners.tries - 1:
                    raise
                await asyncio.sleep(self._wait_seconds(error, attempt, host))
            else:
                host.failures = 0
                return content
        raise AssertionError("a try returns or raises")

    def _wait_seconds(self, error: RefusedError, attempt: int, host: _Host) -> float:
        """How long to wait before the next try.

        A wait that the server asked for applies to all requests to its host.
        """
        if error.wait_seconds is None:
            return self._manners.wait_seconds * float(2**attempt) * random.uniform(0.75, 1.25)
        if error.wait_seconds > self._manners.max_wait_seconds:
            raise error
        host.paused_until = time.monotonic() + error.wait_seconds
        return error.wait_seconds

    async def _try(self, url: URL, permits: AsyncExitStack) -> bytes:
        """One try, with its redirects. Errors of libraries become a RefusedError."""
        where = ""
        try:
            async with asyncio.timeout(self._manners.total_seconds):
                for _ in range(self._manners.max_redirects + 1):
                    async with self._session.get(url, allow_redirects=False) as response:
                        place = response.headers.get("Location")
                        if response.status not in REDIRECT_STATUSES or not place:
                            return await self._body(response, permits)
                    url = _parsed(str(url.join(URL(place))))
                    where = " behind a redirect"  # the first host has answered
        except aiohttp.ConnectionTimeoutError as error:
            raise RefusedError(f"{NO_CONNECTION}{where}", may_change=True) from error
        except TimeoutError as error:
            raise RefusedError("timed out", may_change=True) from error
        except aiohttp.ClientConnectorDNSError as error:
            raise RefusedError(f"{UNKNOWN_HOST}{where}") from error
        except aiohttp.ClientSSLError as error:
            raise RefusedError("untrusted certificate") from error
        except aiohttp.ClientConnectorError as error:
            if PRIVATE in str(error):
                raise RefusedError(PRIVATE) from error
            raise RefusedError(f"{NO_CONNECTION}{where}", may_change=True) from error
        except (aiohttp.ClientPayloadError, aiohttp.ClientConnectionError) as error:
            raise RefusedError("cut short", may_change=True) from error
        except aiohttp.InvalidURL as error:  # such as 127.1, which resolvers read differently
            raise RefusedError(f"{addresses.BAD}{where}") from error
        except (aiohttp.ClientError, ValueError) as error:
            raise RefusedError("invalid response") from error
        raise RefusedError("too many redirects")

    async def _body(self, response: aiohttp.ClientResponse, permits: AsyncExitStack) -> bytes:
        status, headers = response.status, response.headers
        if status in RETRY_STATUSES:
            raise RefusedError(
                f"HTTP {status}",
                may_change=True,
                wait_seconds=retry_after(headers.get("Retry-After")),
            )
        if status != HTTPStatus.OK:
            raise RefusedError(f"HTTP {status}")
        refused = forbidden(headers.getall("X-Robots-Tag", []), self._manners.refused_directives)
        if refused:
            raise RefusedError(f"X-Robots-Tag: {refused}")
        if (response.content_length or 0) > self._manners.max_bytes:
            raise RefusedError("too many bytes")
        content = await self._read(response, permits)
        encoding = headers.get("Content-Encoding", "identity").lower()
        return (
            content
            if encoding == "identity"
            else _decoded(content, encoding, self._manners.max_bytes)
        )

    async def _read(self, response: aiohttp.ClientResponse, permits: AsyncExitStack) -> bytes:
        chunks: list[bytes] = []
        size = 0
        is_large = False
        while chunk := await response.content.readany():
            size += len(chunk)
            if size > self._manners.max_bytes:
                raise RefusedError("too many bytes")
            chunks.append(chunk)
            if size > LARGE_BYTES and not is_large:
                await permits.enter_async_context(self._large)
                is_large = True
        return b"".join(chunks)


@asynccontextmanager
async def fetcher(manners: Manners) -> AsyncIterator[Fetcher]:
    """A fetcher with its own connections."""

    def checked_socket(found: tuple[Any, Any, int, str, tuple[Any, ...]]) -> socket.socket:
        family, kind, protocol, _, address = found
        if not manners.allow_private and not addresses.is_public(str(address[0])):
            raise OSError(errno.EACCES, f"{PRIVATE} {address[0]}")
        return socket.socket(family, kind, protocol)

    timeout = aiohttp.ClientTimeout(
        total=None, sock_connect=manners.connect_seconds, sock_read=manners.read_seconds
    )
    headers = {"User-Agent": manners.agent, "Accept": "image/*", "Accept-Encoding": "identity"}
    trusted = ssl.create_default_context(cafile=os.environ.get("SSL_CERT_FILE") or certifi.where())
    connector = aiohttp.TCPConnector(
        limit=0, ttl_dns_cache=300, socket_factory=checked_socket, ssl=trusted
    )
    with ThreadPoolExecutor(RESOLVER_THREADS, "resolver") as threads:
        asyncio.get_running_loop().set_default_executor(threads)
        async with aiohttp.ClientSession(
            connector=connector,
            timeout=timeout,
            headers=headers,
            auto_decompress=False,
            cookie_jar=aiohttp.DummyCookieJar(),
            trust_env=False,
        ) as session:
            yield Fetcher(session, manners)


def _parsed(address: str) -> URL:
    url = addresses.parse(address)
    if isinstance(url, str):
        raise RefusedError(url)
    return url


def _decoded(content: bytes, encoding: str, max_bytes: int) -> bytes:
    """A body that was compressed against our request, never decompressed beyond `max_bytes`."""
    bits = {"gzip": 31, "x-gzip": 31, "deflate": 15}.get(encoding)
    if bits is None:
        raise RefusedError("unknown encoding")
    unpacker = zlib.decompressobj(bits)
    try:
        plain = unpacker.decompress(content, max_bytes)
    except zlib.error as error:
        raise RefusedError("invalid response") from error
    if unpacker.unconsumed_tail:
        raise RefusedError("too many bytes")
    return plain
