"""Connections with the environment's proxy and certificates, and responses to try again."""

from __future__ import annotations

import base64
import email.utils
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
import urllib3

from omnidet import http
from omnidet.http import RETRY_STATUSES, brief, connections, retry_after


class Handler(BaseHTTPRequestHandler):
    """Answers with what it was asked for."""

    protocol_version = "HTTP/1.1"

    def do_GET(self):
        self.server.asked.append((self.path, self.headers.get("Proxy-Authorization")))
        self.server.clients.add(self.client_address)
        self.send_response(200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"ok")

    def log_message(self, *_):
        pass


@pytest.fixture
def server(monkeypatch) -> Iterator[ThreadingHTTPServer]:
    for name in ("http_proxy", "https_proxy", "no_proxy", "all_proxy", "SSL_CERT_FILE"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    http._connections.cache_clear()
    made = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    made.daemon_threads = True
    made.asked, made.clients = [], set()
    thread = threading.Thread(target=made.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield made
    http._connections.cache_clear()
    made.shutdown()
    thread.join()
    made.server_close()


def get(url: str) -> bytes:
    return connections(url).request("GET", url, timeout=5, retries=False).data


def test_a_connection_is_used_again(server):
    for _ in range(3):
        assert get(f"http://127.0.0.1:{server.server_port}/a") == b"ok"
    assert len(server.asked) == 3
    assert len(server.clients) == 1


@pytest.mark.parametrize("scheme", ["", "http://"])
def test_the_proxy_of_the_environment_is_used(server, monkeypatch, scheme):
    monkeypatch.setenv("http_proxy", f"{scheme}me:p%40ss@127.0.0.1:{server.server_port}")
    assert get("http://host.invalid/a") == b"ok"
    login = base64.b64encode(b"me:p@ss").decode()
    assert server.asked == [("http://host.invalid/a", f"Basic {login}")]


def test_a_host_in_no_proxy_is_asked_directly(server, monkeypatch):
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    assert get(f"http://127.0.0.1:{server.server_port}/a") == b"ok"
    assert server.asked == [("/a", None)]


def test_a_proxy_that_is_not_a_url_is_named_without_its_password(server, monkeypatch):
    monkeypatch.setenv("http_proxy", "socks9://me:topsecret@proxy")
    with pytest.raises(ValueError, match=r"socks9://proxy.*http_proxy") as caught:
        connections("http://host.invalid/a")
    assert "topsecret" not in str(caught.value)


def test_certificates_are_checked_against_the_named_file(server, monkeypatch, tmp_path):
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
    pool = connections("https://host.invalid/a").connection_pool_kw
    assert pool["ca_certs"] == str(tmp_path / "ca.pem")
    assert pool["cert_reqs"] == "CERT_REQUIRED"


@pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 503, 504, 522])
def test_responses_that_may_change(status):
    assert status in RETRY_STATUSES


@pytest.mark.parametrize("status", [200, 206, 301, 400, 401, 403, 404, 409, 410, 416, 501, 505])
def test_responses_that_will_not_change(status):
    assert status not in RETRY_STATUSES


def test_retry_after_in_seconds_or_as_a_date():
    assert retry_after("120") == 120
    assert 50 < retry_after(email.utils.formatdate(time.time() + 60, usegmt=True)) <= 61
    assert retry_after(email.utils.formatdate(time.time() - 60, usegmt=True)) == 0


@pytest.mark.parametrize("value", [None, "", "soon", "-3", "1.5"])
def test_retry_after_that_says_nothing(value):
    assert retry_after(value) is None


def test_an_error_is_one_line_without_addresses_of_objects():
    with pytest.raises(urllib3.exceptions.HTTPError) as caught:
        urllib3.PoolManager().request("GET", "http://127.0.0.1:9/", retries=False)
    assert "refused" in brief(caught.value)
    assert "0x" not in brief(caught.value)
    assert brief(ValueError("")) == "ValueError"
    assert brief(ValueError("a\n  b")) == "a b"
