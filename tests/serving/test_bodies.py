"""Bodies that come slowly, are too large, or too many."""

from __future__ import annotations

import contextlib
import socket
import time

import pytest

from omnidet.inference.detector import OmniDet
from omnidet.serving.config import Limits, Patience
from tests.serving.running import PICTURE, ask, question, serving, toy, until_closed


@pytest.fixture(scope="module")
def detector() -> OmniDet:
    return toy()


def _begun(port: int, length: int, content: bytes = b"x") -> socket.socket:
    head = (
        "POST /detect?phrases=ring HTTP/1.1\r\nHost: x\r\nContent-Type: image/png\r\n"
        f"Content-Length: {length}\r\n\r\n"
    )
    connection = socket.create_connection(("127.0.0.1", port), timeout=30)
    connection.sendall(head.encode() + content)
    return connection


def test_slow_bodies_hold_no_place(detector):
    """More of them than there are places, and each sends its bytes one by one."""
    with (
        serving(detector, concurrency=1, max_waiting=1) as (service, port),
        contextlib.ExitStack() as stack,
    ):
        slow = [stack.enter_context(_begun(port, 1000)) for _ in range(40)]
        for connection in slow:
            connection.sendall(b"y")
        assert service._under_way == 0
        for _ in range(3):
            assert ask(port, "POST", "/detect", question("ring"))[0] == 200


def test_a_body_below_the_least_rate_is_given_up(detector):
    patience = Patience(body_window_seconds=3, body_window_bytes=1000)
    with serving(detector, patience=patience) as (_, port):
        started = time.monotonic()
        with _begun(port, 10_000) as slow:
            while time.monotonic() - started < 30:
                try:
                    slow.sendall(b"y")
                except OSError:
                    break
                slow.settimeout(0.1)
                with contextlib.suppress(TimeoutError):
                    if b" 408 " in slow.recv(1000):
                        break
            assert time.monotonic() - started < 20
        with _begun(port, len(PICTURE), PICTURE[:10]) as late:  # slow, but not too slow
            time.sleep(0.6)
            late.sendall(PICTURE[10:])
            assert b" 200 " in late.recv(1000)


def test_a_body_has_an_end_in_time(detector):
    """However fast it comes."""
    patience = Patience(body_seconds=1, body_window_bytes=10)
    with serving(detector, patience=patience) as (_, port), _begun(port, 10**6) as steady:
        started = time.monotonic()
        while time.monotonic() - started < 10:
            try:
                steady.sendall(b"y" * 100)
            except OSError:
                break
            steady.settimeout(0.05)
            with contextlib.suppress(TimeoutError):
                if b" 408 " in steady.recv(1000):
                    break
        assert time.monotonic() - started < 8


def test_the_oldest_body_gives_way_when_memory_is_full(detector):
    patience, limits = Patience(max_body_bytes=200_000), Limits(max_request_bytes=200_000)
    with serving(detector, patience=patience, limits=limits) as (_, port):
        hoarders = [_begun(port, 150_000, b"x" * 90_000) for _ in range(4)]
        answers = []
        for connection in hoarders[:2]:  # the oldest
            with contextlib.suppress(ConnectionResetError):
                answers.append(connection.recv(1000)[:12])
        assert ask(port, "POST", "/detect", question("ring"))[0] == 200
        for connection in hoarders:
            connection.close()
        assert answers == [b"HTTP/1.1 503"] * 2


def test_a_body_in_another_coding(detector):
    with serving(detector) as (_, port):
        status, answer = ask(
            port, "POST", "/detect", question("ring"), **{"Content-Encoding": "gzip"}
        )
    assert (status, "'gzip'" in answer["error"]) == (415, True)


def test_bodies_that_are_too_large(detector):
    with serving(detector, limits=Limits(max_request_bytes=1000)) as (_, port):
        with _begun(port, 10**19, b"") as lying:
            assert lying.recv(1000).startswith(b"HTTP/1.1 413 ")
        chunked = socket.create_connection(("127.0.0.1", port), timeout=30)
        with chunked:
            chunked.sendall(
                b"POST /detect HTTP/1.1\r\nHost: x\r\nContent-Type: image/png\r\n"
                b"Transfer-Encoding: chunked\r\n\r\n" + b"1f4\r\n" + b"x" * 500 + b"\r\n"
            )
            chunked.sendall((b"1f4\r\n" + b"x" * 500 + b"\r\n") * 3)
            assert b" 413 " in until_closed(chunked)
