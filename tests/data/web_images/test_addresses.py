"""URLs that are asked for, and IP addresses of the public internet."""

import pytest
from yarl import URL

from omnidet.data.web_images.addresses import BAD, NOT_HTTP, WITH_PASSWORD, is_public, parse


@pytest.mark.parametrize(
    "address", ["http://a/b", "https://a.example:8443/b?c#d", "http://bücher.example/"]
)
def test_urls_that_are_asked_for(address):
    assert parse(address) == URL(address)


@pytest.mark.parametrize(
    ("address", "reason"),
    [
        ("", NOT_HTTP),
        ("words", NOT_HTTP),
        ("file:///etc/passwd", NOT_HTTP),
        ("ftp://a/b", NOT_HTTP),
        ("http://", NOT_HTTP),
        ("http://user:word@a/b", WITH_PASSWORD),
        ("http://user@a/b", WITH_PASSWORD),
        ("http://[x/", BAD),
        ("http://a:99999999/b", BAD),
        ("http://xn--/", BAD),
    ],
)
def test_urls_that_are_not_asked_for(address, reason):
    assert parse(address) == reason


@pytest.mark.parametrize(
    ("address", "public"),
    [
        ("8.8.8.8", True),
        ("2606:4700::1111", True),
        ("10.0.0.1", False),
        ("172.16.0.1", False),
        ("192.168.1.1", False),
        ("100.64.0.1", False),
        ("169.254.169.254", False),
        ("224.0.0.1", False),
        ("0.0.0.0", False),
        ("255.255.255.255", False),
        ("::", False),
        ("fe80::1%eth0", False),
        ("fc00::1", False),
        ("fec0::1", False),
        ("ff02::1", False),
        ("::ffff:10.0.0.1", False),
        ("::ffff:8.8.8.8", True),
        ("64:ff9b::7f00:1", False),
        ("2002:7f00:1::", False),
    ],
)
def test_addresses_of_the_public_internet(address, public):
    assert is_public(address) is public
