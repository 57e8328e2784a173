"""The object store: a real server that is stopped, cut off, lied for and written to by several at once."""

from __future__ import annotations

import datetime
import io
import ipaddress
import json
import logging
import os
import signal
import ssl
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from omnidet import object_store, s3_client, storage
from omnidet.data import shards
from omnidet.data.vocabulary import Vocabulary
from omnidet.steps import train_detector
from tests import toys
from tests.object_store import Between, OneAtATime

pytestmark = pytest.mark.s3

NAMES = ["a.tar", "b/c.tar", "b/ärger 红色 +%20&=?#;.tar", "b/d/e.json"]
LARGE_BYTES = 30 << 20


def fill(stage: Path, names, content="") -> None:
    for name in names:
        storage.write_text(stage / name, f"{name} {content}")


def run(script: str, *arguments: str) -> subprocess.Popen[str]:
    program = [sys.executable, "-c", script, *arguments]
    return subprocess.Popen(
        program, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


@pytest.fixture
def reconnect(monkeypatch):
    def to(**environment):
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        s3_client.forget()

    return to


@pytest.fixture
def fetched(monkeypatch) -> list[str]:
    """Keys in the order in which they are fetched."""
    keys, real = [], object_store.fetch

    def download(file, bucket, key, *more):
        keys.append(key)
        return real(file, bucket, key, *more)

    monkeypatch.setattr(object_store, "fetch", download)
    return keys


def test_round_trip(s3):
    for name in NAMES:
        location = storage.join(s3.uri, "folder", name)
        assert not storage.exists(location)
        storage.write_text(location, f"äöü {name}")
        assert storage.exists(location)
        assert storage.read_text(location) == f"äöü {name}"
    storage.write_bytes(f"{s3.uri}/folder/a.tar", b"")
    assert storage.read_bytes(f"{s3.uri}/folder/a.tar") == b""
    assert (
        storage.list_files(f"{s3.uri}/folder")
        == storage.list_files(f"{s3.uri}/folder/")
        == sorted(NAMES)
    )
    assert storage.list_files(s3.uri) == sorted(f"folder/{name}" for name in NAMES)
    assert storage.list_files(f"{s3.uri}/fold") == storage.list_folders(f"{s3.uri}/nothing") == []
    assert storage.list_folders(s3.uri) == ["folder"]
    assert storage.list_folders(f"{s3.uri}/folder") == ["b"]
    assert storage.list_folders(f"{s3.uri}/folder/b/") == ["d"]


@pytest.mark.parametrize(
    ("offset", "length", "content"),
    [
        (0, None, b"0123456789"),
        (4, None, b"456789"),
        (0, 3, b"012"),
        (7, 2, b"78"),
        (8, 100, b"89"),
        (10, 5, b""),
        (3, 0, b""),
    ],
)
def test_read_a_range(s3, offset, length, content):
    storage.write_bytes(f"{s3.uri}/file", b"0123456789")
    assert storage.read_bytes(f"{s3.uri}/file", offset, length) == content


def test_missing_is_named(s3, tmp_path):
    missing = f"{s3.uri}/nothing"
    for read in (
        storage.read_bytes,
        lambda x: storage.read_bytes(x, 0, 0),
        lambda x: storage.local_copy(x, tmp_path),
    ):
        with pytest.raises(FileNotFoundError, match=f"{missing} does not exist"):
            read(missing)
    storage.remove(missing)


def test_remove(s3, tmp_path):
    for root in (s3.uri, str(tmp_path)):
        for name in ("a/index.json", "a/b/c", "ab", "d"):
            storage.write_text(f"{root}/{name}", name)
        storage.remove(f"{root}/a")
        assert storage.list_files(root) == ["ab", "d"]
        storage.remove(f"{root}/d")
        storage.remove(f"{root}/d")
        assert storage.list_files(root) == ["ab"]
    assert [path.name for path in tmp_path.iterdir()] == ["ab"]


def test_a_whole_bucket_is_neither_removed_nor_replaced(s3, tmp_path):
    storage.write_text(f"{s3.uri}/kept", "")
    with pytest.raises(ValueError, match=f"{s3.uri} names a bucket"):
        storage.remove(s3.uri)
    with (
        pytest.raises(ValueError, match=f"{s3.uri} is a whole bucket"),
        storage.staged_directory(s3.uri) as stage,
    ):
        fill(stage, ["a"])
    assert storage.list_files(s3.uri) == ["kept"]


@pytest.mark.slow
def test_more_names_than_one_answer_holds(s3, tmp_path):
    names = [f"{i:04d}" for i in range(1200)]
    with storage.staged_directory(f"{s3.uri}/many") as stage:
        fill(stage, names)
    assert storage.list_files(f"{s3.uri}/many") == names
    copy = storage.local_copy(f"{s3.uri}/many", tmp_path)
    assert storage.list_files(copy) == names
    storage.remove(f"{s3.uri}/many")
    assert storage.list_files(s3.uri) == []


def test_index_comes_last_and_strays_go(s3, monkeypatch):
    location, put, order = f"{s3.uri}/run/shards", object_store.put_file, []
    storage.write_text(f"{s3.uri}/run/shards2/index.json", "another folder")
    with storage.staged_directory(location) as stage:
        fill(stage, ["index.json", "old.tar", "both.tar"], 1)

    def watched(bucket, key, path):
        order.append((path.name, storage.exists(f"{location}/index.json")))
        put(bucket, key, path)

    monkeypatch.setattr(object_store, "put_file", watched)
    with storage.staged_directory(location) as stage:
        fill(stage, ["index.json", "new.tar", "both.tar", "z/z.tar"], 2)
        assert storage.read_text(f"{location}/index.json") == "index.json 1"
    assert sorted(order[:-1]) == [("both.tar", False), ("new.tar", False), ("z.tar", False)]
    assert order[-1] == ("index.json", False)
    assert storage.list_files(location) == ["both.tar", "index.json", "new.tar", "z/z.tar"]
    assert storage.read_text(f"{location}/both.tar") == "both.tar 2"
    assert storage.list_files(f"{s3.uri}/run/shards2") == ["index.json"]


def test_failed_block_leaves_the_old_folder(s3):
    def fail():
        with storage.staged_directory(f"{s3.uri}/a") as stage:
            fill(stage, ["index.json", "new"])
            raise RuntimeError("no")

    storage.write_text(f"{s3.uri}/a/index.json", "old")
    with pytest.raises(RuntimeError, match="no"):
        fail()
    assert storage.list_files(f"{s3.uri}/a") == ["index.json"]


KILLED = """
import os, signal, sys
from omnidet import object_store, storage
put, calls = object_store.put_file, []
def dying(*arguments):
    calls.append(arguments)
    if len(calls) == 10:
        os.kill(os.getpid(), signal.SIGKILL)
    put(*arguments)
object_store.put_file = dying
with storage.staged_directory(sys.argv[1]) as stage:
    for i in range(30):
        storage.write_text(stage / f"{i:02d}.tar", "half")
    storage.write_text(stage / "index.json", "{}")
"""


@pytest.mark.parametrize("there_before", [False, True])
def test_killed_upload_leaves_no_index_and_the_next_clears_up(s3, there_before):
    location = f"{s3.uri}/shards"
    if there_before:
        fill_uri = {"index.json": "{}", "old.tar": "old"}
        for name, content in fill_uri.items():
            storage.write_text(f"{location}/{name}", content)
    process = run(KILLED, location)
    errors = process.communicate(timeout=120)[1]
    assert process.returncode == -signal.SIGKILL, errors
    left = storage.list_files(location)
    assert left
    assert "index.json" not in left
    with pytest.raises(FileNotFoundError, match=r"index\.json does not exist"):
        shards.read_index(location)
    with storage.staged_directory(location) as stage:
        fill(stage, ["index.json", "00.tar"])
    assert storage.list_files(location) == ["00.tar", "index.json"]


NUM_RACES = 15
RACER = f"""
import sys
from omnidet import storage
storage.exists(sys.argv[1] + "/warm")
print("ready", flush=True)
sys.stdin.readline()
for i in range({NUM_RACES}):
    print(int(storage.write_bytes_if_absent(sys.argv[1] + "/" + str(i), sys.argv[2].encode())), end="", flush=True)
"""


@pytest.mark.parametrize("kind", ["s3", "local"])
def test_of_two_processes_that_write_if_absent_one_wins(s3, tmp_path, monkeypatch, kind):
    root = s3.uri if kind == "s3" else str(tmp_path)
    with OneAtATime(s3.store) as door:
        monkeypatch.setenv("AWS_ENDPOINT_URL", door.endpoint)  # of the processes
        racers = [run(RACER, root, name) for name in ("first", "second")]
        for racer in racers:
            assert racer.stdout.readline() == "ready\n"
        for racer in racers:
            racer.stdin.write("go\n")
            racer.stdin.flush()
        results = [racer.communicate(timeout=120) for racer in racers]
    assert [racer.returncode for racer in racers] == [0, 0], results
    for i, (first, second) in enumerate(zip(*(output for output, _ in results), strict=True)):
        assert {first, second} == {"0", "1"}
        assert storage.read_bytes(f"{root}/{i}") == (b"first" if first == "1" else b"second")
    assert len(storage.list_files(root)) == NUM_RACES


def test_if_absent_holds_without_a_look_beforehand(s3, monkeypatch):
    """What decides is the store's own condition, not the look that comes first."""
    monkeypatch.setattr(object_store, "version", lambda *_: None)
    assert storage.write_bytes_if_absent(f"{s3.uri}/one", b"first")
    assert not storage.write_bytes_if_absent(f"{s3.uri}/one", b"second")
    assert storage.read_bytes(f"{s3.uri}/one") == b"first"


def test_if_absent_knows_its_own_write_when_the_answer_was_lost(s3, reconnect, monkeypatch):
    lost = []

    def lose_the_first_answer(connection, sent, chunk):
        if chunk.startswith(b"HTTP/1.1 200") and not lost:
            lost.append(chunk)
            return None
        return chunk

    monkeypatch.setattr(object_store, "version", lambda *_: None)
    with Between(s3.store.endpoint, lose_the_first_answer) as between:
        reconnect(AWS_ENDPOINT_URL=between.endpoint)
        assert storage.write_bytes_if_absent(f"{s3.uri}/one", b"first")
        assert not storage.write_bytes_if_absent(f"{s3.uri}/one", b"second")
        assert lost
        s3_client.forget()


def test_wrong_secret_is_refused_in_one_line_without_it(s3, reconnect, caplog):
    caplog.set_level(logging.DEBUG)
    reconnect(AWS_SECRET_ACCESS_KEY="not-the-secret-9f3")
    calls = [
        storage.read_bytes,
        storage.exists,
        storage.list_files,
        storage.remove,
        lambda x: storage.write_bytes(x, b"x"),
    ]
    for call in [*calls, lambda x: storage.write_bytes_if_absent(x, b"x")]:
        with pytest.raises(PermissionError, match=r"refuses these credentials \(\w+\)$") as caught:
            call(f"{s3.uri}/a")
        assert "\n" not in str(caught.value)
        assert s3.store.endpoint in str(caught.value)
        said = f"{caught.value} {caught.value.__cause__} {caught.value.__cause__!r} {caplog.text}"
        assert "not-the-secret" not in said
        assert s3.store.secret_key not in said


def test_no_credentials_say_what_to_set(s3, reconnect, monkeypatch, tmp_path):
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    # Instead of a cloud's metadata service: a port where nobody is.
    reconnect(AWS_CONTAINER_CREDENTIALS_FULL_URI="http://127.0.0.1:9/role")
    with pytest.raises(PermissionError, match=r"AWS_ACCESS_KEY_ID.*AWS_SECRET_ACCESS_KEY"):
        storage.exists(f"{s3.uri}/a")


def test_unknown_bucket_is_named_before_any_work(s3, tmp_path):
    location, has_begun = "s3://no-such-bucket-here/a", False
    missing = pytest.raises(
        FileNotFoundError, match=r"there is no bucket 'no-such-bucket-here' at http"
    )
    with missing, storage.staged_directory(location):
        has_begun = True
    assert not has_begun
    for call in (storage.read_bytes, storage.list_files, lambda x: storage.write_bytes(x, b"x")):
        with pytest.raises(FileNotFoundError, match="no bucket 'no-such-bucket-here'"):
            call(location)


@pytest.mark.slow
@pytest.mark.parametrize("host", ["127.0.0.1:9", "no-such-host.invalid:9000"])
def test_unreachable_endpoint_is_named_in_time(s3, reconnect, host):
    reconnect(AWS_ENDPOINT_URL=f"http://{host}")
    started = time.monotonic()
    with pytest.raises(
        OSError,
        match=rf"s3://bucket/a: no object store answers at http://{host} .*AWS_ENDPOINT_URL",
    ) as caught:
        storage.read_bytes("s3://bucket/a")
    assert time.monotonic() - started < 40
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        (
            "AWS_ENDPOINT_URL",
            "http://me:topsecret@host:9000",
            "^AWS_ENDPOINT_URL contains a user or password",
        ),
        (
            "AWS_ENDPOINT_URL_S3",
            "http://host:9000/path",
            "AWS_ENDPOINT_URL_S3='http://host:9000/path'",
        ),
        ("AWS_CA_BUNDLE", "/no/such.pem", "/no/such.pem .*AWS_CA_BUNDLE"),
    ],
)
def test_wrong_settings_are_named(s3, reconnect, name, value, message):
    reconnect(**{name: value})
    with pytest.raises(ValueError, match=message) as caught:
        storage.exists(f"{s3.uri}/a")
    assert "topsecret" not in str(caught.value)


def test_something_else_than_an_object_store_is_told(s3, reconnect):
    page = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 4\r\nConnection: close\r\n\r\n<a/>"
    refusal = page.replace(b"200 OK", b"404 Not Found")
    with Between(s3.store.endpoint, lambda _, sent, __: None if sent else refusal) as between:
        reconnect(AWS_ENDPOINT_URL=between.endpoint)
        with pytest.raises(
            OSError,
            match=r"127.0.0.1:\d+ does not answer as an object store .*404.*AWS_ENDPOINT_URL",
        ):
            storage.read_bytes(f"{s3.uri}/a")
        s3_client.forget()


def self_signed(folder: Path) -> tuple[Path, ssl.SSLContext]:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "test")])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]),
            critical=False,
        )
        .sign(key, hashes.SHA256())
    )
    encoded = (
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    (folder / "key.pem").write_bytes(key.private_bytes(*encoded))
    (folder / "certificate.pem").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "certificate.pem", folder / "key.pem")
    return folder / "certificate.pem", context


@pytest.mark.parametrize("name", ["AWS_CA_BUNDLE", "SSL_CERT_FILE"])
def test_a_private_ca_is_trusted_only_where_it_is_named(s3, tmp_path, reconnect, name):
    certificate, context = self_signed(tmp_path)
    with Between(s3.store.endpoint, tls=context) as between:
        reconnect(AWS_ENDPOINT_URL=between.endpoint)
        started = time.monotonic()
        with pytest.raises(
            OSError, match=r"certificate of https://127.* is not trusted .*AWS_CA_BUNDLE"
        ):
            storage.exists(f"{s3.uri}/a")
        assert time.monotonic() - started < 10
        reconnect(**{name: str(certificate)})
        storage.write_bytes(f"{s3.uri}/a", b"x" * 100_000)
        assert storage.read_bytes(f"{s3.uri}/a") == b"x" * 100_000
        s3_client.forget()


def test_an_answer_that_breaks_off_is_asked_for_again(s3, tmp_path, reconnect):
    content = os.urandom(1_000_000)
    storage.write_bytes(f"{s3.uri}/a", content)
    broken = []

    def break_off(connection, sent, chunk):
        if sent > 300_000 and len(broken) < 2:
            broken.append(connection)
            return None
        return chunk

    with Between(s3.store.endpoint, break_off) as between:
        reconnect(AWS_ENDPOINT_URL=between.endpoint)
        assert storage.read_bytes(f"{s3.uri}/a") == content
        assert len(broken) == 2
        broken.clear()
        assert storage.local_copy(f"{s3.uri}/a", tmp_path).read_bytes() == content
        assert len(broken) == 2
        s3_client.forget()


def test_damaged_content_is_fetched_again_and_never_given_out(s3, tmp_path, reconnect, monkeypatch):
    content = os.urandom(1_000_000)
    storage.write_bytes(f"{s3.uri}/a", content)
    damaged, times = [], 1

    def damage(connection, sent, chunk):
        if (
            sent > 300_000 and b"HTTP/1.1" not in chunk and len(damaged) < times
        ):  # the content, not what is said of it
            damaged.append(connection)
            return chunk[:-1] + bytes([chunk[-1] ^ 1])
        return chunk

    with Between(s3.store.endpoint, damage) as between:
        reconnect(AWS_ENDPOINT_URL=between.endpoint)
        assert storage.read_bytes(f"{s3.uri}/a") == content
        assert len(damaged) == 1
        monkeypatch.setattr(object_store, "WAIT_SECONDS", 0)
        times = 10**9
        with pytest.raises(OSError, match=r"a arrived damaged 5 times"):
            storage.local_copy(f"{s3.uri}/a", tmp_path)
        s3_client.forget()
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def test_server_that_restarts_in_the_middle_of_an_upload(s3, tmp_path):
    location, failures = f"{s3.uri}/run", []
    content = {f"{i:02d}.tar": os.urandom(400_000) for i in range(24)}
    content |= {"large.tar": os.urandom(LARGE_BYTES), "index.json": b"{}"}

    def upload():
        try:
            with storage.staged_directory(location) as stage:
                for name, data in content.items():
                    (stage / name).write_bytes(data)
        except OSError as error:
            failures.append(error)

    thread = threading.Thread(target=upload)
    thread.start()
    while thread.is_alive() and len(storage.list_files(location)) < 4:
        time.sleep(0.02)
    s3.store.stop()
    assert thread.is_alive()
    time.sleep(2)
    s3.store.start()
    thread.join(timeout=120)
    assert not thread.is_alive()
    assert not failures
    copy = storage.local_copy(location, tmp_path)
    assert {name: (copy / name).read_bytes() for name in storage.list_files(copy)} == content


@pytest.mark.slow
def test_server_that_is_lost_in_the_middle_of_an_upload(s3, tmp_path, monkeypatch, reconnect):
    """100 MB: the upload fails whole, nobody sees a half, and the same upload succeeds once the server is back."""
    location, content = f"{s3.uri}/run", {"large.tar": os.urandom(100 << 20), "config.json": b"{}"}
    monkeypatch.setattr(s3_client, "TRIES", 2)  # patience for a restart is another test
    reconnect()

    def upload():
        with storage.staged_directory(location) as stage:
            for name, data in content.items():
                (stage / name).write_bytes(data)

    put, end = object_store.put_file, threading.Timer(0.3, s3.store.stop)

    def dying(bucket, key, path):
        if key.endswith("large.tar"):
            end.start()
        put(bucket, key, path)

    with monkeypatch.context() as patch:
        patch.setattr(object_store, "put_file", dying)
        with pytest.raises(
            OSError, match=r"s3://.* (no object store answers|keeps failing|does not answer)"
        ):
            upload()
    end.join()
    s3.store.start()
    assert "large.tar" not in storage.list_files(location)
    with pytest.raises(OSError, match=r"run is not whole"):
        storage.local_copy(location, tmp_path)
    storage.require_replaceable(
        location, "weights.safetensors"
    )  # what the upload left is nothing of value
    upload()
    copy = storage.local_copy(location, tmp_path)
    assert {name: (copy / name).read_bytes() for name in storage.list_files(copy)} == content


def test_a_folder_without_an_index_is_seen_whole_or_not_at_all(s3, tmp_path, monkeypatch):
    """A vocabulary or a model: a reader comes before, between any two files, and after."""
    location, put, seen = f"{s3.uri}/model", object_store.put_file, []
    with storage.staged_directory(location) as stage:
        fill(stage, ["config.json", "weights", "old"], 1)
    assert storage.list_files(storage.local_copy(location, tmp_path)) == [
        "config.json",
        "old",
        "weights",
    ]

    def watched(bucket, key, path):
        for _ in range(2):
            with pytest.raises(OSError, match=r"model is not whole"):
                storage.local_copy(location, tmp_path)
            seen.append(key)
            put(bucket, key, path)

    monkeypatch.setattr(object_store, "put_file", watched)
    with storage.staged_directory(location) as stage:
        fill(stage, ["config.json", "weights"], 2)
    assert len(seen) == 4
    copy = storage.local_copy(location, tmp_path)
    assert {name: (copy / name).read_text() for name in storage.list_files(copy)} == {
        "config.json": "config.json 2",
        "weights": "weights 2",
    }
    real = s3_client.client().remove_object

    def removing(*arguments):
        with pytest.raises(OSError, match=r"model is not whole"):
            storage.local_copy(location, tmp_path)
        real(*arguments)

    monkeypatch.setattr(s3_client.client(), "remove_object", removing)
    storage.remove(location)
    assert storage.list_files(location) == []


def test_a_folder_that_changes_while_it_is_read_is_an_error(s3, tmp_path, monkeypatch):
    location, real = f"{s3.uri}/model", object_store.fetch
    for name in ("a", "b"):
        storage.write_text(f"{location}/{name}", "old")

    def download(file, bucket, key, *more):
        if key.endswith("/b"):
            storage.write_text(f"{location}/a", "new")
        return real(file, bucket, key, *more)

    monkeypatch.setattr(object_store, "fetch", download)
    with pytest.raises(OSError, match="model was written while it was read"):
        storage.local_copy(location, tmp_path)
    monkeypatch.setattr(object_store, "fetch", real)
    assert {p.read_text() for p in storage.local_copy(location, tmp_path).iterdir()} == {
        "new",
        "old",
    }


@pytest.mark.parametrize(
    ("size", "parts"),
    [pytest.param(LARGE_BYTES, 6), pytest.param(100_000_000, 20, marks=pytest.mark.slow)],
    ids=str,
)
def test_large_file_in_parts(s3, tmp_path, fetched, size, parts):
    content = os.urandom(size)
    with storage.staged_directory(f"{s3.uri}/a") as stage:
        (stage / "large.tar").write_bytes(content)
    assert object_store.list_versions(s3.uri[5:], "a/")["large.tar"].etag.endswith(f"-{parts}")
    for location in (
        f"{s3.uri}/a",
        f"{s3.uri}/a/large.tar",
        f"{s3.uri}/a",
    ):  # by the listing and by the object itself
        copy = storage.local_copy(location, tmp_path)
    assert (copy / "large.tar").read_bytes() == content
    assert fetched == ["a/large.tar"]
    assert storage.read_bytes(f"{s3.uri}/a/large.tar", 20 << 20, 1000) == content[20 << 20 :][:1000]


def test_local_copy_follows_the_object_store(s3, tmp_path, fetched):
    location = f"{s3.uri}/data"
    for name in NAMES:
        storage.write_text(f"{location}/{name}", name)
    for _ in range(2):
        copy = storage.local_copy(location, tmp_path)
        assert {name: (copy / name).read_text() for name in storage.list_files(copy)} == {
            name: name for name in NAMES
        }
        assert sorted(fetched) == sorted(f"data/{name}" for name in NAMES)
    fetched.clear()
    storage.write_text(f"{location}/a.tar", "A.TAR")  # as long as before
    storage.write_text(f"{location}/new", "new")
    storage.remove(f"{location}/b/c.tar")
    copy = storage.local_copy(location, tmp_path)
    assert (copy / "a.tar").read_text() == "A.TAR"
    assert storage.list_files(copy) == sorted(
        [*(name for name in NAMES if name != "b/c.tar"), "new"]
    )
    assert sorted(fetched) == ["data/a.tar", "data/new"]
    (copy / "new").write_text("NEW")  # changed here
    assert storage.local_copy(f"{location}/new", tmp_path).read_text() == "new"
    assert storage.local_copy(f"{location}/new", tmp_path) == tmp_path / location[5:] / "new"
    assert fetched[2:] == ["data/new"]
    assert list((tmp_path / ".parts").iterdir()) == []


def test_local_copy_stays_in_its_cache(s3, tmp_path):
    s3_client.client().put_object(s3.uri[5:], "a/x//y", io.BytesIO(b"x"), 1)
    with pytest.raises(ValueError, match="a/x//y cannot be the name of a local file"):
        storage.local_copy(f"{s3.uri}/a", tmp_path / "cache")


def test_parts_of_a_killed_process_are_cleared_after_a_day(s3, tmp_path):
    storage.write_text(f"{s3.uri}/a", "a")
    (tmp_path / ".parts").mkdir()
    for name, age_hours in (("old", 25), ("young", 1)):
        (tmp_path / ".parts" / name).write_text("half")
        os.utime(tmp_path / ".parts" / name, (time.time() - age_hours * 3600,) * 2)
    storage.local_copy(f"{s3.uri}/a", tmp_path)
    assert [path.name for path in (tmp_path / ".parts").iterdir()] == ["young"]


FORKS = """
import os, sys
from omnidet import storage
storage.write_bytes(sys.argv[1] + "/a", b"x" * 1000)
children = []
for _ in range(4):
    child = os.fork()
    if not child:
        same = all(storage.read_bytes(sys.argv[1] + "/a") == b"x" * 1000 for _ in range(20))
        os._exit(0 if same else 1)
    children.append(child)
assert all(storage.read_bytes(sys.argv[1] + "/a") == b"x" * 1000 for _ in range(20))
assert [os.waitpid(child, 0)[1] for child in children] == [0] * 4
"""


def test_forked_workers_have_connections_of_their_own(s3):
    process = run(FORKS, s3.uri)
    errors = process.communicate(timeout=120)[1]
    assert process.returncode == 0, errors


def test_shards_and_vocabulary_from_the_object_store_equal_local_ones(s3, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with storage.staged_directory(f"{s3.uri}/shards") as stage:
        toys.write_shards(stage)
    local, remote = toys.write_shards(tmp_path / "shards"), shards.read_index(f"{s3.uri}/shards")
    assert remote.dataset_version == local.dataset_version
    assert dict(remote.sets) == dict(local.sets)
    for name in local.sets:
        ours, theirs = list(shards.records(local, name)), list(shards.records(remote, name))
        assert len(ours) == len(theirs) > 0
        for one, other in zip(ours, theirs, strict=True):
            assert (one.image, one.image_id, one.phrases, one.caption) == (
                other.image,
                other.image_id,
                other.phrases,
                other.caption,
            )
            assert one.boxes_xyxy.tolist() == other.boxes_xyxy.tolist()
    recipe = toys.recipe()
    built = train_detector.build_vocabulary(
        str(tmp_path / "shards"), str(tmp_path / "vocabulary"), recipe
    )
    train_detector.build_vocabulary(f"{s3.uri}/shards", f"{s3.uri}/vocabulary", recipe)
    loaded = Vocabulary.load(storage.local_copy(f"{s3.uri}/vocabulary", tmp_path / "cache"))
    assert loaded.content_hash == built.content_hash
    assert (
        json.loads(storage.read_text(f"{s3.uri}/vocabulary/vocabulary.json"))["content_hash"]
        == built.content_hash
    )
