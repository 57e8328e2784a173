"""Fixtures that every test may use."""

from __future__ import annotations

import dataclasses
import logging
import os
import uuid
from collections.abc import Iterator

import pytest

from omnidet import s3_client
from tests import exports
from tests import samples as sample_files
from tests.containers import engine
from tests.object_store import ObjectStore, object_store

REAL_SAMPLES = sample_files.real()


@pytest.fixture(autouse=True)
def _logging_of_each_test() -> Iterator[None]:
    """A command that sets up logging binds it to the stream of its test, which closes with it."""
    before = logging.root.handlers[:]
    yield
    logging.root.handlers[:] = before


@pytest.fixture(scope="session")
def drawn_samples(tmp_path_factory) -> sample_files.Samples:
    """Samples of every dataset, drawn in its format."""
    root = tmp_path_factory.mktemp("samples") / "drawn"
    return sample_files.Samples(sample_files.draw(root), is_real=False)


@pytest.fixture(scope="session", params=["drawn", "real"] if REAL_SAMPLES else ["drawn"])
def samples(request) -> sample_files.Samples:
    """Drawn samples, and where there are real ones, those too: the test runs on both."""
    if request.param == "real":
        return sample_files.Samples(REAL_SAMPLES, is_real=True)
    return request.getfixturevalue("drawn_samples")


@pytest.fixture(scope="session")
def best_samples(request) -> sample_files.Samples:
    """Real samples where there are some, else drawn ones: for tests that take minutes."""
    if REAL_SAMPLES:
        return sample_files.Samples(REAL_SAMPLES, is_real=True)
    return request.getfixturevalue("drawn_samples")


@pytest.fixture(scope="session")
def exported(tmp_path_factory) -> exports.Exported:
    """A toy detector, and what `omnidet export --format onnx` makes of it."""
    return exports.export(tmp_path_factory.mktemp("exported"))


@dataclasses.dataclass(frozen=True)
class Bucket:
    """A bucket of its own for a test."""

    uri: str
    store: ObjectStore


@pytest.fixture(scope="session")
def object_store_server(tmp_path_factory) -> Iterator[ObjectStore]:
    """One server for the whole run."""
    with object_store(tmp_path_factory.mktemp("object-store") / "swift") as store:
        yield store


@pytest.fixture
def s3(object_store_server: ObjectStore, monkeypatch) -> Iterator[Bucket]:
    """An empty bucket on a real object store, found by the usual variables; for tests marked s3."""
    others = (
        "AWS_ENDPOINT_URL_S3",
        "AWS_SESSION_TOKEN",
        "AWS_PROFILE",
        "AWS_CA_BUNDLE",
        s3_client.CERTIFICATES,
        "SSL_CERT_FILE",
    )
    for name in (*others, "AWS_DEFAULT_REGION", "AWS_WEB_IDENTITY_TOKEN_FILE"):
        monkeypatch.delenv(name, raising=False)
    for name, value in object_store_server.environment.items():
        monkeypatch.setenv(name, value)
    s3_client.forget()
    name = f"test-{uuid.uuid4().hex}"
    s3_client.client().make_bucket(name)
    yield Bucket(f"s3://{name}", object_store_server)
    s3_client.forget()


@pytest.fixture
def reconnect(monkeypatch):
    """Set environment variables, and make the next call connect with them."""

    def to(**environment: str) -> None:
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        s3_client.forget()

    return to


@pytest.fixture(scope="session")
def docker_images() -> Iterator[engine.Images]:
    """The images of this checkout. Without an engine the test is skipped.

    With OMNIDET_TEST_DOCKER=required it fails. The fixture is shared by all folders: a second one
    in the same process would wait for the first to be released.
    """
    try:
        with engine.engine() as docker:
            yield engine.build(docker)
    except engine.NoEngineError as error:
        if os.environ.get("OMNIDET_TEST_DOCKER") == "required":
            raise
        pytest.skip(str(error))
