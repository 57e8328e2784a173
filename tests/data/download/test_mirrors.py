"""One file from its URLs, on a real server that drops, truncates, stalls, refuses and lies."""

from __future__ import annotations

import hashlib
import random
import resource
import time
from collections.abc import Iterator

import pytest

from omnidet.data.download.catalogue import RemoteFile
from omnidet.data.download.http_range import Patience
from omnidet.data.download.mirrors import fetch_file
from omnidet.data.download.partial_file import TransferError
from tests.data import hostile_server as hostile

CONTENT = random.Random(0).randbytes(300_000)
SHA256 = hashlib.sha256(CONTENT).hexdigest()
QUICK = Patience(
    tries=4, wait_seconds=0.001, read_seconds=0.3, window_seconds=0.2, min_bytes_per_second=1000
)


@pytest.fixture
def site() -> Iterator[hostile.Site]:
    with hostile.hostile_server() as made:
        made.files["a.zip"] = CONTENT
        yield made


def remote(site, known=True, path="a.zip", mirrors=()) -> RemoteFile:
    size, sha256 = (len(CONTENT), SHA256) if known else (None, "")
    return RemoteFile("a.zip", (site.url(path), *mirrors), size, sha256)


def fetch(file, tmp_path, progress=lambda _: None):
    fetched = fetch_file(file, tmp_path / "a.zip", QUICK, progress)
    assert (tmp_path / "a.zip").read_bytes() == CONTENT
    assert (fetched.size_bytes, fetched.sha256) == (len(CONTENT), SHA256)
    assert [path.name for path in tmp_path.iterdir()] == ["a.zip"]
    return fetched


@pytest.mark.slow
@pytest.mark.parametrize(
    "fault",
    [
        hostile.drops_after(100_000),
        hostile.stalls_after(100_000, seconds=1),
        hostile.trickles(seconds=0.02),
        hostile.status(503),
        hostile.status(500),
        hostile.status(408),
        hostile.status(429, Retry_After="0"),
        hostile.truncates(100_000),
    ],
)
def test_passing_faults_are_retried(site, tmp_path, fault):
    site.faults["a.zip"] = [fault, fault]
    file = remote(site)
    if fault.__qualname__.startswith("truncates"):
        file = RemoteFile(
            file.name,
            (*file.urls, site.url("a.zip"), site.url("a.zip")),
            file.size_bytes,
            file.sha256,
        )
    fetch(file, tmp_path)
    assert len(site.asked) == 3


def test_a_broken_download_resumes_where_it_stopped(site, tmp_path):
    site.etags["a.zip"] = '"one"'
    site.faults["a.zip"] = [hostile.drops_after(100_000), hostile.drops_after(100_000)]
    seen = []
    fetch(remote(site, known=False), tmp_path, seen.append)
    asked = site.requests("a.zip")
    assert [headers.get("Range") for headers in asked] == [None, "bytes=100000-", "bytes=200000-"]
    assert [headers.get("If-Range") for headers in asked] == [None, '"one"', '"one"']
    assert site.sent == sum(seen) == len(CONTENT)


def test_a_file_that_changed_meanwhile_is_fetched_from_the_start(site, tmp_path):
    site.files["a.zip"], site.etags["a.zip"] = bytes(len(CONTENT)), '"old"'

    def changes(handler, content, begin):
        hostile.drops_after(100_000)(handler, content, begin)
        site.files["a.zip"], site.etags["a.zip"] = CONTENT, '"new"'
        return True

    site.faults["a.zip"] = [changes]
    fetch(remote(site, known=False), tmp_path)


def test_without_a_validator_or_a_hash_nothing_is_pieced_together(site, tmp_path):
    site.files["a.zip"] = bytes(len(CONTENT))

    def changes(handler, content, begin):
        hostile.drops_after(100_000)(handler, content, begin)
        site.files["a.zip"] = CONTENT
        return True

    site.faults["a.zip"] = [changes]
    fetch(remote(site, known=False), tmp_path)
    assert [headers.get("Range") for headers in site.requests("a.zip")] == [None, None]


def test_a_server_without_ranges_and_one_that_sends_others(site, tmp_path):
    site.faults["a.zip"] = [hostile.drops_after(100_000), hostile.ignores_range_offset(7)]
    fetch(remote(site), tmp_path)
    (tmp_path / "a.zip").unlink()
    site.ranges = False
    site.faults["a.zip"] = [hostile.drops_after(100_000)]
    fetch(remote(site), tmp_path)


def test_a_damaged_part_is_detected_by_the_hash_and_fetched_again(site, tmp_path):
    (tmp_path / "a.zip.part").write_bytes(b"x" * 1000)
    fetch(remote(site), tmp_path)
    assert [headers.get("Range") for headers in site.requests("a.zip")] == ["bytes=1000-", None]
    (tmp_path / "a.zip").unlink()
    (tmp_path / "a.zip.part").write_bytes(CONTENT)  # complete, but killed before it was moved
    fetch(remote(site), tmp_path)
    assert len(site.requests("a.zip")) == 2


def test_mirrors_are_tried_in_turn(site, tmp_path):
    site.files["wrong"] = bytes(len(CONTENT))
    site.files["short"] = CONTENT[:-1]
    site.files["busy"] = CONTENT
    site.faults["busy"] = [hostile.status(503, Retry_After="9999")]
    mirrors = [site.url(name) for name in ("wrong", "short", "busy")] + [
        "http://127.0.0.1:1/a",
        site.url("a.zip"),
    ]
    assert fetch(remote(site, path="none", mirrors=mirrors), tmp_path).url == site.url("a.zip")
    with pytest.raises(TransferError) as raised:
        fetch_file(remote(site, path="none", mirrors=mirrors[:2]), tmp_path / "b.zip", QUICK)
    message = str(raised.value)
    for reason in (
        f"{site.url('none')}: HTTP 404",
        f"its SHA-256 is {hashlib.sha256(bytes(len(CONTENT))).hexdigest()}",
        "announces 299999 bytes",
    ):
        assert reason in message
    assert "\n" not in message
    assert [path.name for path in tmp_path.iterdir()] == ["a.zip"]


def test_a_server_that_is_down_or_always_fails_is_given_up(site, tmp_path):
    site.faults["a.zip"] = [hostile.status(503)] * 99
    with pytest.raises(TransferError, match=r"HTTP 503 \(4 times"):
        fetch_file(remote(site), tmp_path / "a.zip", QUICK)
    assert len(site.asked) == 4
    site.faults["a.zip"] = [hostile.drops_after(1000)] * 99
    with pytest.raises(TransferError, match=r"\(4 times"):
        fetch_file(remote(site), tmp_path / "a.zip", QUICK)
    assert (tmp_path / "a.zip.part").stat().st_size == 4000
    assert not (tmp_path / "a.zip").exists()
    with pytest.raises(TransferError, match="refused"):
        fetch_file(RemoteFile("a", ("http://127.0.0.1:1/a",)), tmp_path / "a", QUICK)


def test_more_bytes_than_the_file_has_are_refused(site, tmp_path):
    def endless(handler, content, begin):
        handler.send_response(200)
        handler.send_header("Transfer-Encoding", "chunked")
        handler.end_headers()
        while True:
            handler.wfile.write(b"10000\r\n" + bytes(0x10000) + b"\r\n")

    site.faults["a.zip"] = [endless]
    with pytest.raises(TransferError, match="300000 bytes"):
        fetch_file(remote(site), tmp_path / "a.zip", QUICK)


@pytest.mark.slow
def test_retry_after_is_obeyed(site, tmp_path):
    site.faults["a.zip"] = [hostile.status(429, Retry_After="1")]
    begin = time.monotonic()
    fetch(remote(site), tmp_path)
    assert time.monotonic() - begin >= 1


def test_redirects_are_followed_but_not_to_files_and_not_with_the_token(
    site, tmp_path, monkeypatch
):
    with hostile.hostile_server() as other:
        other.files["b"] = CONTENT
        site.files["r"] = site.files["f"] = site.files["loop"] = b""
        site.faults["r"] = [hostile.status(302, Location=other.url("b"))]
        site.faults["f"] = [hostile.status(302, Location="file:///etc/hostname")]
        site.faults["loop"] = [hostile.status(302, Location=site.url("loop"))] * 20
        monkeypatch.setenv("OMNIDET_TEST_TOKEN", "secret")
        file = RemoteFile(
            "a.zip", (site.url("r"),), len(CONTENT), SHA256, token="OMNIDET_TEST_TOKEN"
        )
        fetch(file, tmp_path)
        assert site.requests("r")[0]["Authorization"] == "Bearer secret"
        assert "Authorization" not in other.requests("b")[0]
        for path, problem in (
            ("f", "redirects to 'file:///etc/hostname'"),
            ("loop", "more than 5 times"),
        ):
            with pytest.raises(TransferError, match=problem):
                fetch_file(RemoteFile("b", (site.url(path),)), tmp_path / "b", QUICK)
    monkeypatch.delenv("OMNIDET_TEST_TOKEN")
    with pytest.raises(TransferError, match="set OMNIDET_TEST_TOKEN"):
        fetch_file(file, tmp_path / "b", QUICK)


def test_files_on_disk(tmp_path):
    source = tmp_path / "source" / "a b.zip"
    source.parent.mkdir()
    source.write_bytes(CONTENT)
    for urls in ((source.as_uri(),), ("file:///no/such/file", source.as_uri())):
        out = tmp_path / f"out{len(urls)}"
        out.mkdir()
        fetch(RemoteFile("a.zip", urls, len(CONTENT), SHA256), out)
    with pytest.raises(TransferError, match="No such file"):
        fetch_file(RemoteFile("b", ("file:///no/such/file",)), tmp_path / "b", QUICK)


@pytest.mark.s3
def test_objects(s3, tmp_path):
    from omnidet import storage

    storage.write_bytes(f"{s3.uri}/sets/a.zip", CONTENT)
    out = tmp_path / "out"
    out.mkdir()
    fetch(
        RemoteFile(
            "a.zip", (f"{s3.uri}/sets/none.zip", f"{s3.uri}/sets/a.zip"), len(CONTENT), SHA256
        ),
        out,
    )


def test_a_full_disk_is_named_before_anything_is_fetched(site, tmp_path):
    def huge(handler, content, begin):
        handler.send_response(200)
        handler.send_header("Content-Length", str(10**18))
        handler.end_headers()
        return True

    site.faults["a.zip"] = [huge]
    with pytest.raises(TransferError, match=r"a\.zip needs 1,000,000,000,000 MB"):
        fetch_file(remote(site, known=False), tmp_path / "a.zip", QUICK)
    assert not (tmp_path / "a.zip").exists()


@pytest.fixture
def full_disk() -> Iterator[None]:
    """No file grows beyond 299,990 bytes: one write falls short, the next fails."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (299_990, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.usefixtures("full_disk")
def test_a_disk_that_fills_up_is_named(site, tmp_path):
    def of_unknown_length(handler, content, begin):
        handler.send_response(200)
        handler.send_header("Connection", "close")
        handler.end_headers()
        handler.wfile.write(content)
        handler.close_connection = True
        return True

    site.faults["a.zip"] = [of_unknown_length]
    with pytest.raises(
        OSError,
        match=r"a\.zip\.part .*File too large",
    ):
        fetch_file(remote(site, known=False), tmp_path / "a.zip", QUICK)
    assert not (tmp_path / "a.zip").exists()


@pytest.mark.parametrize("place", ["http://[::1", "//[x]/", "http://a:99999999/"])
def test_a_redirect_to_a_malformed_url_leads_to_the_next_mirror(site, tmp_path, place):
    site.files["b.zip"] = b""
    site.faults["b.zip"] = [hostile.status(302, Location=place)] * 9
    fetch(remote(site, path="b.zip", mirrors=(site.url("a.zip"),)), tmp_path)
