"""What all HTTP clients of the project share: connections, and which responses deserve another try.

`docs/decisions/0010-http.md` says which client library is used where.
"""

from __future__ import annotations

import email.utils
import functools
import os
import re
import time
from urllib.parse import unquote, urlsplit
from urllib.request import getproxies, proxy_bypass

import certifi
import urllib3

RETRY_STATUSES = frozenset({408, 425, 429, 500, 502, 503, 504, *range(520, 525)})
"""Statuses after which the same request may succeed: a time-out, too many requests, server trouble.

RFC 9110, RFC 8470 and RFC 6585 define all but 520 to 524, which Cloudflare sends if the server
behind it is away. 501 and 505 are missing: a server that does not know the method or the version
will not learn it.
"""
REDIRECT_STATUSES = (301, 302, 303, 307, 308)
MAX_CONNECTIONS = 32
"""Connections to one host that are kept for the next request."""
_NOISE = re.compile(
    r"HTTPS?ConnectionPool\([^)]*\): |<[^<>]* object at 0x[0-9a-f]+>,? ?:? ?|\((?=<)"
)


def connections(url: str) -> urllib3.PoolManager:
    """The connections of this process for a URL, directly or through the environment's proxy.

    Trusts the usual certificates, or those of SSL_CERT_FILE. Raises ValueError for a proxy that is
    not a URL.
    """
    parts = urlsplit(url)
    proxy = getproxies().get(parts.scheme, "")
    if proxy and proxy_bypass(parts.netloc.rpartition("@")[2]):
        proxy = ""
    return _connections(os.getpid(), proxy, os.environ.get("SSL_CERT_FILE") or certifi.where())


@functools.lru_cache(maxsize=8)
def _connections(process: int, proxy: str, certificates: str) -> urllib3.PoolManager:  # noqa: ARG001
    """Cached: loading certificates takes 0.08 s. A forked process gets its own connections."""
    if not proxy:
        return urllib3.PoolManager(
            maxsize=MAX_CONNECTIONS, cert_reqs="CERT_REQUIRED", ca_certs=certificates
        )
    address = proxy if "://" in proxy else f"http://{proxy}"
    login = urlsplit(address).netloc.rpartition("@")[0]
    try:
        return urllib3.ProxyManager(
            address,
            maxsize=MAX_CONNECTIONS,
            proxy_headers=urllib3.make_headers(proxy_basic_auth=unquote(login)) if login else None,
            cert_reqs="CERT_REQUIRED",
            ca_certs=certificates,
        )
    except urllib3.exceptions.HTTPError as error:
        shown = address.replace(f"{login}@", "") if login else address
        raise ValueError(
            f"the proxy {shown!r} is not a URL ({error}): correct http_proxy or https_proxy"
        ) from error


def retry_after(value: str | None) -> float | None:
    """Seconds that a `Retry-After` header asks for, or None if it does not say.

    The header holds a number of seconds or a date (RFC 9110, 10.2.3).
    """
    if not value:
        return None
    if value.strip().isdecimal():
        return float(value)
    try:
        moment = email.utils.parsedate_to_datetime(value)
    except ValueError:
        return None
    return max(0.0, moment.timestamp() - time.time())


def brief(error: Exception) -> str:
    """An error of urllib3 in one line, without the addresses of Python objects."""
    return " ".join(_NOISE.sub("", str(error)).split())[:300] or type(error).__name__
