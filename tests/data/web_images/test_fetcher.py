"""Fetching from unknown servers: polite, bounded, patient, never from the internal network."""

from __future__ import annotations

import asyncio
import dataclasses
import gzip
import socket
import time

import pytest

from omnidet.data.web_images import addresses
from omnidet.data.web_images.fetcher import LARGE_BYTES, Manners, RefusedError, fetcher
from tests.data import hostile_server as hostile

pytestmark = pytest.mark.slow

QUICK = Manners(
    wait_seconds=0.001,
    read_seconds=0.3,
    total_seconds=0.6,
    connect_seconds=1,
    allow_private=True,
    max_bytes=200_000,
)


@pytest.fixture
def site():
    with hostile.hostile_server() as made:
        made.files["a"] = b"picture" * 20_000
        yield made


def fetch_all(urls, manners=QUICK):
    """The bytes behind each URL, or the reason why there are none."""

    async def one(fetching, url):
        try:
            async with fetching.fetch(url) as content:
                return content
        except RefusedError as error:
            return error.reason

    async def every():
        async with fetcher(manners) as fetching:
            return await asyncio.gather(*(one(fetching, url) for url in urls))

    return asyncio.run(every())


def fetch(url, manners=QUICK):
    return fetch_all([url], manners)[0]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("fault", "reason", "asked"),
    [
        (hostile.status(503), "HTTP 503", 3),
        (hostile.status(429, Retry_After="0"), "HTTP 429", 3),
        (hostile.status(429, Retry_After="3600"), "HTTP 429", 1),
        (hostile.status(404), "HTTP 404", 1),
        (hostile.status(204), "HTTP 204", 1),
        (hostile.drops_after(1000), "cut short", 3),
        (hostile.stalls_after(1000, seconds=1), "timed out", 3),
        (hostile.trickles(seconds=0.05), "timed out", 3),
        (hostile.status(301), "HTTP 301", 1),
        (hostile.status(200, X_Robots_Tag="noai"), "X-Robots-Tag: noai", 1),
        (hostile.status(200, X_Robots_Tag="noindex, noimageai"), "X-Robots-Tag: noimageai", 1),
        (hostile.status(302, Location="file:///etc/hostname"), "not http(s)", 1),
        (hostile.status(200, Content_Encoding="br"), "unknown encoding", 1),
        (hostile.status(200, Content_Encoding="gzip"), "invalid response", 1),
    ],
)
def test_faults_and_patience(site, fault, reason, asked):
    site.faults["a"] = [fault] * 9
    assert fetch(site.url("a")) == reason
    assert len(site.asked) == asked
    site.faults["a"] = [fault]
    if asked == 3:
        assert fetch(site.url("a")) == site.files["a"]


def test_no_more_bytes_than_allowed(site):
    site.files["big"] = bytes(300_000)
    assert fetch(site.url("big")) == "too many bytes"

    def endless(handler, content, begin):
        handler.send_response(200)
        handler.send_header("Transfer-Encoding", "chunked")
        handler.end_headers()
        while True:
            handler.wfile.write(b"10000\r\n" + bytes(0x10000) + b"\r\n")

    def bomb(handler, content, begin):
        handler.answer(200, gzip.compress(bytes(10_000_000)), {"Content-Encoding": "gzip"})
        return True

    def packed(handler, content, begin):
        handler.answer(200, gzip.compress(content), {"Content-Encoding": "gzip"})
        return True

    site.faults["a"] = [endless, bomb, packed]
    assert [fetch(site.url("a")) for _ in range(3)] == [
        "too many bytes",
        "too many bytes",
        site.files["a"],
    ]
    assert site.asked[0][1]["Accept-Encoding"] == "identity"
    assert "omnidet/" in site.asked[0][1]["User-Agent"]


def test_large_bodies_wait_for_each_other(site):
    site.files["large"] = bytes(3 * LARGE_BYTES)
    manners = Manners(allow_private=True, connections=24, per_host=24)
    assert {len(found) for found in fetch_all([site.url("large")] * 24, manners)} == {
        3 * LARGE_BYTES
    }


@pytest.mark.parametrize(
    "host",
    ["127.0.0.1", "localhost", "[::1]", "0.0.0.0", "127.1", "2130706433", "[::ffff:127.0.0.1]"],
)
def test_the_internal_network_is_refused(site, host):
    strict = Manners(tries=1, connect_seconds=1)
    reason = fetch(f"http://{host}:{site.port}/a", strict)
    odd = ("127.1", "2130706433")  # spellings that not every resolver accepts
    assert reason == ("malformed URL" if host in odd else "private address")
    assert site.asked == []


def test_the_address_that_is_connected_to_decides(site, monkeypatch):
    """A name that resolves to a public address first, then to the internal network."""
    answers = ["93.184.216.34", "127.0.0.1"]

    def resolve(host, port, *more, **named):
        return [
            (
                socket.AF_INET,
                socket.SOCK_STREAM,
                6,
                "",
                (answers.pop(0) if len(answers) > 1 else answers[0], port),
            )
        ]

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    assert socket.getaddrinfo("rebound.example", site.port)[0][4][0] == "93.184.216.34"
    assert fetch(f"http://rebound.example:{site.port}/a", Manners(tries=1)) == "private address"
    assert site.asked == []


def test_a_redirect_into_the_internal_network_is_refused(site, monkeypatch):
    """The first server counts as public here, the second does not."""
    with hostile.hostile_server() as inner:
        inner.files["secret"] = b"secret"
        site.faults["a"] = [hostile.status(302, Location=f"http://127.0.0.2:{inner.port}/secret")]
        monkeypatch.setattr(addresses, "is_public", lambda address: address == "127.0.0.1")
        assert fetch(site.url("a"), Manners(tries=1)) == "private address"
        assert len(site.asked) == 1
        assert inner.asked == []


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("", "not http(s)"),
        ("file:///etc/passwd", "not http(s)"),
        ("ftp://a/b", "not http(s)"),
        ("http://", "not http(s)"),
        ("http://user:word@a/b", "URL with a password"),
        ("http://[x/", "malformed URL"),
        ("http://a:99999999/b", "malformed URL"),
        ("http://no-such-host.invalid/a", "unknown host"),
        ("http://127.0.0.1:1/a", "no connection"),
    ],
)
def test_urls_that_cannot_be_fetched(url, reason):
    assert fetch(url) == reason


def test_redirects_end(site):
    site.files["loop"] = b""
    site.faults["loop"] = [hostile.status(302, Location="/loop")] * 99
    assert fetch(site.url("loop")) == "too many redirects"
    assert len(site.asked) == 6
    site.faults["loop"] = [hostile.status(302, Location="/a")]
    assert fetch(site.url("loop")) == site.files["a"]


def test_a_host_is_not_crowded(site):
    now, most = [0], [0]

    def counted(handler, content, begin):
        now[0] += 1
        most[0] = max(most[0], now[0])
        time.sleep(0.02)
        now[0] -= 1
        return False

    site.faults["a"] = [counted] * 20
    assert len(fetch_all([site.url("a")] * 20, Manners(per_host=2, allow_private=True))) == 20
    assert most[0] == 2


def test_a_dead_host_is_soon_given_up():
    assert set(fetch_all(["http://127.0.0.1:1/a"] * 50)) <= {
        "no connection",
        "host does not answer",
    }
    assert (
        fetch_all(["http://127.0.0.1:1/a"] * 50, Manners(per_host=1, tries=1, allow_private=True))[
            3:
        ]
        == ["host does not answer"] * 47
    )


@pytest.mark.parametrize("dead", ["http://127.0.0.2:1/a", "http://no-such-host.invalid/a"])
def test_a_redirect_to_a_dead_host_is_not_held_against_the_one_that_answered(site, dead):
    site.files["moved"] = b""
    site.faults["moved"] = [hostile.status(302, Location=dead)] * 99
    *moved, there = fetch_all(
        [site.url("moved")] * 8 + [site.url("a")], dataclasses.replace(QUICK, per_host=1)
    )
    reason = "unknown host" if "invalid" in dead else "no connection"
    assert moved == [f"{reason} behind a redirect"] * 8
    assert there == site.files["a"]


def test_a_host_that_accepts_no_connection_counts_as_not_reached():
    with socket.create_server(("127.0.0.1", 0), backlog=0) as full:
        # They fill the server's queue: further connections hang.
        waiting = [socket.socket() for _ in range(4)]
        for one in waiting:
            one.setblocking(False)
            one.connect_ex(full.getsockname())
        manners = Manners(connect_seconds=0.2, tries=1, allow_private=True)
        assert fetch(f"http://127.0.0.1:{full.getsockname()[1]}/", manners) == "no connection"
        for one in waiting:
            one.close()


def test_a_malformed_url_does_not_stop_the_others(site):
    """Lists of millions contain some that fail only when the host name is decoded."""
    bad = [
        "http://xn--/",
        "http://\u00e4..\u00f6/",
        "http://[",
        "http://a:99999/",
        "http://" + "a" * 300 + ".\u00e4/",
    ]
    assert fetch_all([*bad, site.url("a")]) == [*["malformed URL"] * len(bad), site.files["a"]]


@pytest.mark.parametrize(
    "place",
    ["http://xn--/", "http://[::1", "//a:99999999/", "http://%00/", "http://\u00e4..\u00f6/"],
)
def test_a_redirect_to_a_malformed_url(site, place):
    site.faults["a"] = [hostile.status(302, Location=place)] * 9
    assert fetch(site.url("a")) in (
        "malformed URL",
        "invalid response",
        "unknown host behind a redirect",
    )
