"""One request for the rest of a file, and what each response leads to."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
import urllib3

from omnidet.data.download import http_range
from omnidet.data.download.catalogue import RemoteFile
from omnidet.data.download.http_range import Patience, request
from omnidet.data.download.partial_file import GiveUpError, PartialFile, TryAgainError

CONTENT = b"0123456789"
URL = "https://host/a"


class Server:
    """Answers with the given responses, one for each request, and records what was asked."""

    def __init__(self, *responses: tuple[int, bytes, dict[str, str]]) -> None:
        self.responses, self.asked = list(responses), []

    def request(self, _method, url, headers, **_):
        status, body, more = self.responses.pop(0)
        self.asked.append((url, headers))
        return urllib3.HTTPResponse(
            io.BytesIO(body), headers=more, status=status, preload_content=False
        )


@pytest.fixture
def ask(monkeypatch, tmp_path):
    """Ask a server for the rest of a file, some of which has arrived."""

    def to(*responses, have=b"", validator='"one"', file=None):
        server = Server(*responses)
        monkeypatch.setattr(http_range, "connections", lambda _: server)
        part = PartialFile(tmp_path / "a", file or RemoteFile("a", (URL,)), URL, lambda _: None)
        part.write(iter([have]), append=False)
        part.validator = validator
        return server, part, lambda: request(URL, part.file, part, Patience())

    return to


def length(count: int) -> dict[str, str]:
    return {"Content-Length": str(count)}


def content_of(part: PartialFile) -> bytes:
    return Path(part.path).read_bytes() if part.size else b""


def test_the_whole_file_is_requested_first(ask):
    server, part, send = ask((200, CONTENT, {**length(10), "ETag": '"two"'}))
    send()
    assert content_of(part) == CONTENT
    assert part.validator == '"two"'
    assert "Range" not in server.asked[0][1]


def test_the_rest_is_requested_if_the_file_is_unchanged(ask):
    headers = {**length(6), "Content-Range": "bytes 4-9/10"}
    server, part, send = ask((206, CONTENT[4:], headers), have=CONTENT[:4])
    send()
    assert content_of(part) == CONTENT
    assert server.asked[0][1]["Range"] == "bytes=4-"
    assert server.asked[0][1]["If-Range"] == '"one"'


def test_a_weak_etag_cannot_be_used_for_ranges(ask):
    headers = {**length(10), "ETag": 'W/"two"', "Last-Modified": "Sun, 29 Nov 2026 00:00:00 GMT"}
    _, part, send = ask((200, CONTENT, headers))
    send()
    assert part.validator == headers["Last-Modified"]


def test_a_complete_file_is_not_requested(ask):
    file = RemoteFile("a", (URL,), size_bytes=10)
    server, part, send = ask(have=CONTENT, file=file)
    send()
    assert server.asked == []
    assert content_of(part) == CONTENT


def test_no_bytes_after_the_last_one_means_complete(ask):
    _, part, send = ask((416, b"", {"Content-Range": "bytes */10"}), have=CONTENT)
    send()
    assert content_of(part) == CONTENT


@pytest.mark.parametrize(
    ("response", "problem"),
    [
        ((416, b"", {"Content-Range": "bytes */7"}), "starting over"),
        ((206, b"x", {**length(1), "Content-Range": "bytes 3-3/10"}), "from 3, .* from 4"),
        ((206, b"x", length(1)), "from -1"),
    ],
)
def test_bytes_that_do_not_fit_start_over(ask, response, problem):
    _, part, send = ask(response, have=CONTENT[:4])
    with pytest.raises(TryAgainError, match=problem):
        send()
    assert part.size == 0


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (429, TryAgainError),
        (500, TryAgainError),
        (520, TryAgainError),
        (401, GiveUpError),
        (403, GiveUpError),
        (404, GiveUpError),
        (501, GiveUpError),
        (304, GiveUpError),
    ],
)
def test_other_statuses(ask, status, error):
    _, part, send = ask((status, b"", {"Retry-After": "7"}), have=CONTENT[:4])
    with pytest.raises(error, match=f"HTTP {status}") as caught:
        send()
    assert part.size == 4
    assert getattr(caught.value, "wait_seconds", 7) == 7


def test_a_file_of_another_size_is_given_up(ask):
    file = RemoteFile("a", (URL,), size_bytes=10)
    for headers, problem in ((length(11), "announces 11 bytes, expected 10"), ({}, "10 bytes")):
        _, _, send = ask((200, CONTENT + b"x", headers), file=file)
        with pytest.raises(GiveUpError, match=problem):
            send()


def test_a_response_that_ends_early_is_continued(ask):
    file = RemoteFile("a", (URL,), size_bytes=10)
    _, part, send = ask((200, CONTENT[:7], {}), file=file)
    with pytest.raises(TryAgainError, match="7 of 10 bytes"):
        send()
    assert content_of(part) == CONTENT[:7]


def test_a_slow_response_is_asked_again(ask, monkeypatch):
    clock = iter(range(0, 10_000, 100))
    monkeypatch.setattr(http_range.time, "monotonic", lambda: next(clock))
    _, _, send = ask((200, CONTENT, {}))
    with pytest.raises(TryAgainError, match="10 bytes arrived in 100 seconds"):
        send()


@pytest.mark.parametrize(
    ("place", "sha256", "problem"),
    [
        ("http://host/b", "", "no SHA-256 is known"),
        ("ftp://host/b", "0" * 64, "ftp://host/b"),
        ("http://[::1", "", "is not a URL"),
    ],
)
def test_redirects_that_are_refused(ask, place, sha256, problem):
    file = RemoteFile("a", (URL,), sha256=sha256)
    _, _, send = ask((302, b"", {"Location": place}), file=file)
    with pytest.raises(GiveUpError, match=problem):
        send()


def test_https_may_be_left_if_the_content_can_be_checked(ask):
    file = RemoteFile("a", (URL,), sha256="0" * 64)
    redirect = (302, b"", {"Location": "http://other/b"})
    server, part, send = ask(redirect, (200, CONTENT, length(10)), file=file)
    send()
    assert [url for url, _ in server.asked] == [URL, "http://other/b"]
    assert content_of(part) == CONTENT


@pytest.mark.parametrize(
    ("place", "gets_it"), [("/b", True), ("https://other/b", False), ("http://host/b", False)]
)
def test_the_token_is_for_the_first_host(ask, monkeypatch, place, gets_it):
    monkeypatch.setenv("TOY_TOKEN", "secret")
    file = RemoteFile("a", (URL,), sha256="0" * 64, token="TOY_TOKEN")
    server, _, send = ask((302, b"", {"Location": place}), (200, CONTENT, length(10)), file=file)
    send()
    tokens = [headers.get("Authorization") for _, headers in server.asked]
    assert tokens == ["Bearer secret", "Bearer secret" if gets_it else None]
    monkeypatch.delenv("TOY_TOKEN")
    with pytest.raises(GiveUpError, match="TOY_TOKEN"):
        send()
