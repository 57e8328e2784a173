"""Fetching: a local server that is slow, busy, cut short or too large."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from omnidet.data.reading import urls
from omnidet.data.reading.urls import fetch, fetch_all


class Handler(BaseHTTPRequestHandler):
    asked: list[str]

    def do_GET(self):
        self.server.asked.append(self.path)
        kind = self.path.rpartition("/")[2]
        if kind.isdecimal():  # busy twice, then well
            self.send_response(int(kind) if self.server.asked.count(self.path) < 3 else 200)
            self.end_headers()
            self.wfile.write(b"well")
            return
        if kind == "redirect":
            self.send_response(302)
            self.send_header("Location", "file:///etc/hostname")
            self.end_headers()
            return
        self.send_response(200)
        if kind == "short":
            self.send_header("Content-Length", "100")
        self.end_headers()
        for _ in range(1000 if kind == "slow" else 1):  # until the client gives up
            self.wfile.write(b"x" * 10)
            time.sleep(0.02 if kind == "slow" else 0)

    def log_message(self, *_):
        pass


@pytest.fixture
def server(monkeypatch) -> Iterator[ThreadingHTTPServer]:
    monkeypatch.setattr(urls, "WAIT_SECONDS", 0.001)
    monkeypatch.setenv("no_proxy", "*")
    made = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    made.asked = []
    made.handle_error = lambda *_: None  # a client that gives up is part of the test
    thread = threading.Thread(target=made.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield made
    made.shutdown()
    thread.join()
    made.server_close()


def url(server, path):
    return f"http://127.0.0.1:{server.server_port}/{path}"


def test_content_and_size_limit(server):
    assert fetch(url(server, "x")) == b"x" * 10
    with pytest.raises(OSError, match="larger than 9 bytes"):
        fetch(url(server, "x"), max_bytes=9)
    assert len(server.asked) == 2


@pytest.mark.parametrize(("code", "asked"), [(429, 3), (503, 3), (404, 1), (403, 1)])
def test_only_a_busy_server_is_asked_again(server, code, asked):
    if asked == 3:
        assert fetch(url(server, f"{code}")) == b"well"
    else:
        with pytest.raises(OSError, match=rf"/{code}' cannot be fetched: HTTP {code}"):
            fetch(url(server, f"{code}"))
    assert len(server.asked) == asked


def test_a_trickle_and_a_truncated_response_are_errors(server):
    with pytest.raises(OSError, match=r"not complete after 0\.5 seconds"):
        fetch(url(server, "slow"), timeout_seconds=0.5)
    with pytest.raises(OSError, match="IncompleteRead"):
        fetch(url(server, "short"))
    assert len(server.asked) == 6


def test_a_redirect_does_not_reach_a_file(server):
    with pytest.raises(OSError, match="cannot be fetched"):
        fetch(url(server, "redirect"))


@pytest.mark.parametrize(
    "bad",
    ["", "x.jpg", "ftp://host/x", "data:,x", "http://[x", "http://host:x/", "http://", "http:///x"],
)
def test_a_malformed_url_is_one_line(bad):
    with pytest.raises(OSError, match=r"^[^\n]*$"):
        fetch(bad)


def test_files(tmp_path):
    path = tmp_path / "a b%.jpg"
    path.write_bytes(b"12345")
    assert fetch(path.as_uri()) == b"12345"
    for problem, kwargs, name in (
        ("larger than 4", {"max_bytes": 4}, path.as_uri()),
        ("cannot be read", {}, "file:///no%00such"),
    ):
        with pytest.raises(OSError, match=problem):
            fetch(name, **kwargs)


def test_results_keep_the_order_of_the_urls(tmp_path):
    for i in range(0, 150, 2):
        (tmp_path / f"{i}").write_bytes(b"%d" % i)
    got = list(fetch_all((tmp_path / f"{i}").as_uri() for i in range(150)))
    assert got[::2] == [b"%d" % i for i in range(0, 150, 2)]
    assert all(isinstance(error, OSError) for error in got[1::2])
