"""What clients do to a connection, byte by byte."""

from __future__ import annotations

import json
import select
import socket
import time
from collections.abc import Iterator

import pytest

from omnidet.serving.config import Patience
from tests.serving.running import PICTURE, ask, raw, serving, toy, until_closed

PATIENCE = Patience(
    header_seconds=1.0, keep_alive_seconds=1.0, linger_seconds=0.5, max_connections=40
)
GET = b"GET /v2/health/live HTTP/1.1\r\nHost: x\r\n\r\n"
POST = b"POST /detect?phrases=ring HTTP/1.1\r\nHost: x\r\nContent-Type: image/png\r\n"


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    with serving(toy(), patience=PATIENCE) as (_, own):
        yield own


def _status_and_error(answer: bytes) -> tuple[int, str]:
    head, _, body = answer.partition(b"\r\n\r\n")
    assert b"content-type: application/json" in head.lower()
    return int(head.split()[1]), json.loads(body)["error"]


SMUGGLED = b"GET /v2/models/other HTTP/1.1\r\nHost: x\r\n\r\n"
DOUBTFUL = {
    "length and chunks": POST
    + b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
    + SMUGGLED,
    "chunks and length": POST
    + b"Transfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n0\r\n\r\n"
    + SMUGGLED,
    "two lengths": POST + b"Content-Length: 4\r\nContent-Length: 40\r\n\r\nabcd" + SMUGGLED,
    "a list of lengths": POST + b"Content-Length: 4, 5\r\n\r\nabcd",
    "a length with a sign": POST + b"Content-Length: +4\r\n\r\nabcd",
    "a length in hexadecimal": POST + b"Content-Length: 0x4\r\n\r\nabcd",
    "a length with a space": POST + b"Content-Length: 4 4\r\n\r\nabcd",
    "chunks twice": POST + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n",
    "another coding": POST + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    "a coding in disguise": POST + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
    "a coding behind a tab": POST + b"Transfer-Encoding:\x0bchunked\r\n\r\n0\r\n\r\n",
    "a space before the colon": POST + b"Content-Length : 4\r\n\r\nabcd",
    "two hosts": b"GET /v2 HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n",
    "no host": b"GET /v2 HTTP/1.1\r\n\r\n",
    "two types": POST + b"Content-Type: application/json\r\nContent-Length: 4\r\n\r\nabcd",
    "chunks in HTTP/1.0": b"POST /detect HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "a chunk of no length": POST + b"Transfer-Encoding: chunked\r\n\r\nzz\r\nabcd\r\n0\r\n\r\n",
    "a chunk with a sign": POST + b"Transfer-Encoding: chunked\r\n\r\n-4\r\nabcd\r\n0\r\n\r\n",
    "a chunk that is longer": POST + b"Transfer-Encoding: chunked\r\n\r\n2\r\nabcd\r\n0\r\n\r\n",
    "a huge chunk": POST + b"Transfer-Encoding: chunked\r\n\r\n" + b"f" * 40 + b"\r\n",
    "a zero byte": b"GET /v2 HTTP/1.1\r\nHost: x\r\nA: b\0c\r\n\r\n",
    "a bare return": b"GET /v2 HTTP/1.1\r\nHost: x\r\nA: b\rB: c\r\n\r\n",
    "another protocol": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    "HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "a header without an end": b"GET /v2 HTTP/1.1\r\nHost: x\r\nA: " + b"a" * 40_000,
    "many header lines": b"GET /v2 HTTP/1.1\r\nHost: x\r\n" + b"A: b\r\n" * 9000 + b"\r\n",
    "a long path": b"GET /" + b"a" * 40_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
}


@pytest.mark.parametrize("which", DOUBTFUL)
def test_what_could_be_read_in_two_ways_is_refused_once(port, which):
    answer = raw(port, DOUBTFUL[which])
    assert answer.count(b"HTTP/1.1 ") == 1
    status, error = _status_and_error(answer)
    assert status in (400, 408, 431, 501, 505)
    assert error
    assert b"connection: close" in answer.lower()


@pytest.mark.parametrize("begun", [b"", b"GET /v2 HT", GET[:-2], b"\r\n\r\n", POST])
def test_a_header_that_never_ends(port, begun):
    """Byte after byte of it: the time is for all of them."""
    with socket.create_connection(("127.0.0.1", port), timeout=30) as connection:
        connection.sendall(begun)
        started = time.monotonic()
        while time.monotonic() - started < 10:
            ready, _, _ = select.select([connection], [], [], 0.2)
            if ready:
                break
            if begun:
                connection.sendall(begun[:1] if begun == b"\r\n\r\n" else b"a")
        assert time.monotonic() - started < 8
        answer = until_closed(connection)
    assert answer == b"" or _status_and_error(answer)[0] in (400, 408)


def test_an_idle_connection_is_closed(port):
    with socket.create_connection(("127.0.0.1", port), timeout=30) as connection:
        connection.sendall(GET)
        answer = until_closed(connection)
    assert answer.endswith(b'{"live":true}')


def test_requests_behind_one_another_are_answered_in_order(port):
    body = POST + b"Content-Length: %d\r\n\r\n" % len(PICTURE) + PICTURE
    answer = raw(port, GET + body + GET.replace(b"live", b"ready") + b"nonsense\r\n\r\n")
    parts = [b'{"live":true}', b'"detections"', b'{"ready":true}', b"HTTP/1.1 400 "]
    places = [answer.index(part) for part in parts]
    assert places == sorted(places)


def test_what_comes_after_an_early_answer_is_not_awaited(port):
    """A body that is not wanted, without an end."""
    with socket.create_connection(("127.0.0.1", port), timeout=30) as connection:
        connection.sendall(b"POST /nowhere HTTP/1.1\r\nHost: x\r\nContent-Length: 99999\r\n\r\n")
        started = time.monotonic()
        assert b" 404 " in connection.recv(1000)
        while time.monotonic() - started < 10:
            try:
                connection.sendall(b"a")
                if select.select([connection], [], [], 0.1)[0] and not connection.recv(100):
                    break
            except OSError:
                break
        assert time.monotonic() - started < 5


def test_connections_that_wait_do_not_keep_others_out(port):
    idle = [socket.create_connection(("127.0.0.1", port)) for _ in range(60)]
    try:
        for _ in range(3):
            assert ask(port, "GET", "/v2/health/live")[0] == 200
    finally:
        for connection in idle:
            connection.close()


def test_bodies_that_are_slow_do_not_keep_others_out(port):
    slow = []
    try:
        for _ in range(60):
            slow.append(socket.create_connection(("127.0.0.1", port)))
            slow[-1].sendall(POST + b"Content-Length: 5000\r\n\r\nx")
            time.sleep(0.01)  # so that none is idle when the next one comes
        for _ in range(3):
            assert ask(port, "GET", "/v2/health/live")[0] == 200
    finally:
        for connection in slow:
            connection.close()


def test_a_client_that_goes_away(port):
    for content in (POST, POST + b"Content-Length: 50\r\n\r\nabc", GET, GET[:9]):
        with socket.create_connection(("127.0.0.1", port)) as connection:
            connection.sendall(content)
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    assert ask(port, "GET", "/v2/health/live")[0] == 200


def test_upgrades_are_passed_over(port):
    more = b"Connection: upgrade, close\r\nUpgrade: websocket\r\n\r\n"
    assert raw(port, GET[:-2] + more).endswith(b'{"live":true}')
