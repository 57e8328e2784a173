"""Which addresses are asked: http(s) URLs, and IP addresses of the public internet."""

from __future__ import annotations

import ipaddress

from yarl import URL

BAD = "malformed URL"
NOT_HTTP = "not http(s)"
WITH_PASSWORD = "URL with a password"
_NAT64 = ipaddress.ip_network("64:ff9b::/96")


def parse(address: str) -> URL | str:
    """The URL, or the reason why it is not asked for."""
    try:
        url = URL(address)
        host = url.host  # decoded only now, which may fail
    except (ValueError, TypeError):
        return BAD
    if url.scheme not in ("http", "https") or not host:
        return NOT_HTTP
    return WITH_PASSWORD if url.user or url.password else url


def is_public(address: str) -> bool:
    """Whether an IP address belongs to the public internet, looking into IPv6 forms of IPv4.

    Addresses of this machine, of its network and of its cloud provider do not.
    """
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
