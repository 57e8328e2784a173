"""Pictures of strangers' servers, many at once: polite, bounded, and never into the own network.

Every connection is checked as it is made, on the address that is really connected to: names that resolve to private addresses,
redirects into the own network and names that resolve to something else the second time all end there.
"""

from __future__ import annotations

import asyncio
import errno
import ipaddress
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
from omnidet.http import REDIRECT_STATUSES, RETRY_STATUSES, retry_after

LARGE_BYTES = 1 << 20
LARGE_AT_ONCE = 16
"""Bodies beyond a megabyte that are held at once: what bounds the memory, whatever servers send."""
HOPELESS = 3
"""So many connections in a row that failed, and a host is not asked again by this fetcher."""
RESOLVER_THREADS = 16
PRIVATE = "private address"
NOT_REACHED = ("unknown host", "no connection", "host does not answer")
"""Reasons of a host that is gone, and of every host where the own network is away."""
NOT_ASKED = ("bad address", "not http", "address with a password")
"""Reasons that an address has in itself."""
_NAT64 = ipaddress.ip_network("64:ff9b::/96")


@dataclass(frozen=True)
class Manners:
    """How servers are treated, and what is taken from them."""

    connections: int = 64
    """At once, in a process."""
    per_host: int = 4
    """At once to one host, in a process."""
    tries: int = 3
    wait_seconds: float = 1.0
    """Before the second try; each further wait is twice as long, with a random part."""
    max_wait_seconds: float = 30.0
    """A server that asks for a longer wait by `Retry-After` is not asked again."""
    connect_seconds: float = 10.0
    read_seconds: float = 10.0
    """Without a byte."""
    total_seconds: float = 40.0
    """A try as a whole."""
    max_bytes: int = 20_000_000
    max_redirects: int = 5
    refused_directives: tuple[str, ...] = ("noai", "noimageai")
    """Of `X-Robots-Tag`: a picture that is sent with one of these is not taken."""
    allow_private: bool = False
    """Take pictures from the own network: loopback, link-local and private addresses."""
    agent: str = f"Mozilla/5.0 (compatible; omnidet/{__version__})"


class RefusedError(Exception):
    """A picture that is not to be had; `reason` is one of a few short texts, as they are counted."""

    def __init__(
        self, reason: str, may_pass: bool = False, wait_seconds: float | None = None
    ) -> None:
        super().__init__(reason)
        self.reason, self.may_pass, self.wait_seconds = reason, may_pass, wait_seconds


@dataclass
class _Host:
    slots: asyncio.Semaphore
    failures: int = 0
    paused_until: float = field(default=0.0)


class Fetcher:
    """Fetches pictures within one event loop; made by `fetcher`."""

    def __init__(self, session: aiohttp.ClientSession, manners: Manners) -> None:
        self._session, self._manners = session, manners
        self._slots = asyncio.Semaphore(manners.connections)
        self._large = asyncio.Semaphore(LARGE_AT_ONCE)
        self._hosts: dict[str, _Host] = {}

    @asynccontextmanager
    async def fetch(self, address: str) -> AsyncIterator[bytes]:
        """The bytes behind an address. Raises RefusedError.

        The place among those that are fetched at once is held until the block ends, so whatever is done there with the
        bytes, no more of them pile up.
        """
        url = _url(address)
        host = self._hosts.setdefault(
            url.host or "", _Host(asyncio.Semaphore(self._manners.per_host))
        )
        async with host.slots, AsyncExitStack() as held:
            yield await self._patiently(url, host, held)

    async def _patiently(self, url: URL, host: _Host, held: AsyncExitStack) -> bytes:
        for attempt in range(self._manners.tries):
            if host.failures >= HOPELESS:
                raise RefusedError("host does not answer")
            await asyncio.sleep(max(0.0, host.paused_until - time.monotonic()))
            try:
                async with AsyncExitStack() as permits:
                    await permits.enter_async_context(self._slots)
                    content = await self._try(url, permits)
                    await held.enter_async_context(permits.pop_all())
            except RefusedError as error:
                host.failures = (
                    host.failures + 1 if error.reason in ("no connection", "unknown host") else 0
                )
                if not error.may_pass or attempt == self._manners.tries - 1:
                    raise
                await asyncio.sleep(self._wait_seconds(error, attempt, host))
            else:
                host.failures = 0
                return content
        raise AssertionError("a try returns or raises")

    def _wait_seconds(self, error: RefusedError, attempt: int, host: _Host) -> float:
        """How long to wait before the next try; what a server asks for holds for all that is asked of it."""
        if error.wait_seconds is None:
            return self._manners.wait_seconds * float(2**attempt) * random.uniform(0.75, 1.25)
        if error.wait_seconds > self._manners.max_wait_seconds:
            raise error
        host.paused_until = time.monotonic() + error.wait_seconds
        return error.wait_seconds

    async def _try(self, url: URL, permits: AsyncExitStack) -> bytes:
        """One try, redirects included; what a library raises becomes a RefusedError."""
        where = ""
        try:
            async with asyncio.timeout(self._manners.total_seconds):
                for _ in range(self._manners.max_redirects + 1):
                    async with self._session.get(url, allow_redirects=False) as response:
                        place = response.headers.get("Location")
                        if response.status not in REDIRECT_STATUSES or not place:
                            return await self._body(response, permits)
                    url = _url(str(url.join(URL(place))))
                    where = " behind a redirect"  # the host that was asked has answered
        except aiohttp.ConnectionTimeoutError as error:
            raise RefusedError(f"no connection{where}", may_pass=True) from error
        except TimeoutError as error:
            raise RefusedError("time-out", may_pass=True) from error
        except aiohttp.ClientConnectorDNSError as error:
            raise RefusedError(f"unknown host{where}") from error
        except aiohttp.ClientSSLError as error:
            raise RefusedError("certificate") from error
        except aiohttp.ClientConnectorError as error:
            refused = (
                RefusedError(PRIVATE)
                if PRIVATE in str(error)
                else RefusedError(f"no connection{where}", may_pass=True)
            )
            raise refused from error
        except (aiohttp.ClientPayloadError, aiohttp.ClientConnectionError) as error:
            raise RefusedError("cut short", may_pass=True) from error
        except (aiohttp.ClientError, ValueError) as error:
            raise RefusedError("bad answer") from error
        raise RefusedError("too many redirects")

    async def _body(self, response: aiohttp.ClientResponse, permits: AsyncExitStack) -> bytes:
        status, headers = response.status, response.headers
        if status in RETRY_STATUSES:
            raise RefusedError(
                f"HTTP {status}",
                may_pass=True,
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
    """A fetcher with connections of its own."""

    def checked_socket(found: tuple[Any, Any, int, str, tuple[Any, ...]]) -> socket.socket:
        family, kind, protocol, _, address = found
        if not manners.allow_private and not is_public(str(address[0])):
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


def is_public(address: str) -> bool:
    """Whether an address belongs to the internet: not to the own machine, network or provider, and no other one in disguise."""
    ip = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(ip, ipaddress.IPv6Address):
        inner = ip.ipv4_mapped or ip.sixtofour or (ip.teredo[1] if ip.teredo else None)
        if ip in _NAT64:
            inner = ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF)
        if inner is not None:
            return is_public(str(inner))
        if ip.is_site_local:
            return False
    return ip.is_global and not (
        ip.is_multicast or ip.is_reserved or ip.is_unspecified or ip.is_loopback or ip.is_link_local
    )


def forbidden(tags: list[str], directives: tuple[str, ...]) -> str:
    """The first of the directives in `X-Robots-Tag` headers that holds for us, or "".

    A header is a list of directives, which may begin with the name of the robot that it is meant for.
    """
    for tag in tags:
        for_us = True
        for part in tag.lower().split(","):
            agent, colon, rest = part.strip().partition(":")
            if colon and agent.strip() not in (
                "unavailable_after",
                "max-snippet",
                "max-image-preview",
                "max-video-preview",
            ):
                for_us = agent.strip() in ("*", "omnidet")
                part = rest
            if for_us and part.strip() in directives:
                return part.strip()
    return ""


def _url(address: str) -> URL:
    try:
        url = URL(address)
        host = url.host  # decoded only now: a name may be none
    except (ValueError, TypeError) as error:
        raise RefusedError("bad address") from error
    if url.scheme not in ("http", "https") or not host:
        raise RefusedError("not http")
    if url.user or url.password:
        raise RefusedError("address with a password")
    return url


def _decoded(content: bytes, encoding: str, max_bytes: int) -> bytes:
    """What was packed although we asked not to; no more of it than is allowed is ever unpacked."""
    bits = {"gzip": 31, "x-gzip": 31, "deflate": 15}.get(encoding)
    if bits is None:
        raise RefusedError("unknown encoding")
    unpacker = zlib.decompressobj(bits)
    try:
        plain = unpacker.decompress(content, max_bytes)
    except zlib.error as error:
        raise RefusedError("bad answer") from error
    if unpacker.unconsumed_tail:
        raise RefusedError("too many bytes")
    return plain
