"""How the object store is reached: settings, certificates, credentials, errors in one line."""

from __future__ import annotations

import datetime
import ipaddress
import logging
import ssl
import time
from pathlib import Path

import pytest
import urllib3
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from omnidet import s3_client, storage
from tests import scripts
from tests.object_store import Between


@pytest.mark.s3
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


@pytest.mark.s3
def test_no_credentials_say_what_to_set(s3, reconnect, monkeypatch, tmp_path):
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    # Instead of a cloud's metadata service, a port where nothing listens.
    reconnect(AWS_CONTAINER_CREDENTIALS_FULL_URI="http://127.0.0.1:9/role")
    with pytest.raises(PermissionError, match=r"AWS_ACCESS_KEY_ID.*AWS_SECRET_ACCESS_KEY"):
        storage.exists(f"{s3.uri}/a")


@pytest.mark.s3
@pytest.mark.slow
@pytest.mark.parametrize("host", ["127.0.0.1:9", "no-such-host.invalid:9000"])
def test_unreachable_endpoint_is_named_in_time(s3, reconnect, host):
    reconnect(AWS_ENDPOINT_URL=f"http://{host}")
    started = time.monotonic()
    with pytest.raises(
        OSError,
        match=rf"s3://bucket/a: .*http://{host} .*AWS_ENDPOINT_URL",
    ) as caught:
        storage.read_bytes("s3://bucket/a")
    assert time.monotonic() - started < 40
    assert "\n" not in str(caught.value)


@pytest.mark.s3
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
        (s3_client.CERTIFICATES, "/etc/ssl/ca.pem", f"^{s3_client.CERTIFICATES} .*PEM"),
    ],
)
def test_wrong_settings_are_named(s3, reconnect, name, value, message):
    reconnect(**{name: value})
    with pytest.raises(ValueError, match=message) as caught:
        storage.exists(f"{s3.uri}/a")
    assert "topsecret" not in str(caught.value)


@pytest.mark.s3
def test_a_server_that_is_not_an_object_store_is_named(s3, reconnect):
    refusal = (
        b"HTTP/1.1 404 Not Found\r\nContent-Type: text/html\r\nContent-Length: 4\r\n"
        b"Connection: close\r\n\r\n<a/>"
    )
    with Between(s3.store.endpoint, lambda _, sent, __: None if sent else refusal) as between:
        reconnect(AWS_ENDPOINT_URL=between.endpoint)
        with pytest.raises(
            OSError,
            match=r"127.0.0.1:\d+ .*404.*AWS_ENDPOINT_URL",
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


@pytest.mark.s3
@pytest.mark.parametrize("name", ["AWS_CA_BUNDLE", "SSL_CERT_FILE", s3_client.CERTIFICATES])
def test_a_private_ca_is_trusted_only_if_it_is_named(s3, tmp_path, reconnect, name):
    certificate, context = self_signed(tmp_path)
    with Between(s3.store.endpoint, tls=context) as between:
        reconnect(AWS_ENDPOINT_URL=between.endpoint)
        started = time.monotonic()
        with pytest.raises(OSError, match=r"certificate of https://127.*AWS_CA_BUNDLE"):
            storage.exists(f"{s3.uri}/a")
        assert time.monotonic() - started < 10
        is_text = name == s3_client.CERTIFICATES
        text = f"# Zertifikat für uns\n{certificate.read_text()}"
        reconnect(**{name: text if is_text else str(certificate)})
        storage.write_bytes(f"{s3.uri}/a", b"x" * 100_000)
        assert storage.read_bytes(f"{s3.uri}/a") == b"x" * 100_000
        s3_client.forget()


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


@pytest.mark.s3
def test_forked_workers_have_connections_of_their_own(s3):
    process = scripts.start(FORKS, s3.uri)
    errors = process.communicate(timeout=120)[1]
    assert process.returncode == 0, errors


@pytest.mark.parametrize(
    ("location", "bucket", "prefix"),
    [
        ("s3://b", "b", ""),
        ("s3://b/", "b", ""),
        ("s3://b/c", "b", "c/"),
        ("s3://b/c/d?e#f/", "b", "c/d?e#f/"),
    ],
)
def test_bucket_and_prefix(location, bucket, prefix):
    assert s3_client.bucket_and_prefix(location) == (bucket, prefix)
    if prefix:
        assert s3_client.bucket_and_key(location) == (bucket, prefix[:-1])
    else:
        with pytest.raises(ValueError, match=f"^{location} names a bucket"):
            s3_client.bucket_and_key(location)


@pytest.mark.parametrize(
    ("method", "headers", "is_conditional"),
    [
        ("PUT", {"x-amz-meta-omnidet-writer": "a"}, True),
        ("PUT", {"X-Amz-Meta-Omnidet-Writer": "a"}, True),
        ("PUT", {"x-amz-meta-other": "a"}, False),
        ("PUT", None, False),
        ("POST", {"x-amz-meta-omnidet-writer": "a"}, False),
    ],
)
def test_a_put_with_the_mark_of_a_writer_is_conditional(
    monkeypatch, method, headers, is_conditional
):
    sent = []
    monkeypatch.setattr(
        urllib3.PoolManager, "urlopen", lambda *_, headers=None, **__: sent.append(headers)
    )
    pool = s3_client._ConditionalPool()
    given = None if headers is None else urllib3.HTTPHeaderDict(headers)
    pool.urlopen(method, "http://host/bucket/key", headers=given)
    assert ("If-None-Match" in (sent[0] or {})) == is_conditional
    assert given is None or "If-None-Match" not in given


def test_each_process_has_its_own_client(monkeypatch):
    for name in ("AWS_ENDPOINT_URL_S3", "AWS_CA_BUNDLE", "SSL_CERT_FILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    s3_client.forget()
    first = s3_client.client()
    assert s3_client.client() is first
    monkeypatch.setattr(s3_client.os, "getpid", lambda: 1)
    assert s3_client.client() is not first
    monkeypatch.undo()
    s3_client.forget()
    assert s3_client.client() is not first
    s3_client.forget()
