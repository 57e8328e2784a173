"""Fixtures that every test may use."""

from __future__ import annotations

import dataclasses
import os
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from omnidet import s3_client
from tests.containers import engine
from tests.object_store import ObjectStore, object_store

SHARED_DATA = Path(__file__).resolve().parents[1] / ".." / "shared" / "data"


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real samples beside the repository; they are never copied into it."""
    if not SHARED_DATA.is_dir():
        pytest.skip(f"the real samples are not here: {SHARED_DATA} does not exist")
    return SHARED_DATA.resolve()


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
    """An empty bucket on a real object store, found by the environment as in earnest; for tests marked `s3`."""
    others = (
        "AWS_ENDPOINT_URL_S3",
        "AWS_SESSION_TOKEN",
        "AWS_PROFILE",
        "AWS_CA_BUNDLE",
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


@pytest.fixture(scope="session")
def docker_images() -> Iterator[engine.Images]:
    """The images of this checkout. Without an engine the test is skipped; with OMNIDET_TEST_DOCKER=required it fails.

    Here, for it must be one for all folders: a second one in the same process would wait for the first to let go.
    """
    try:
        with engine.engine() as docker:
            yield engine.build(docker)
    except engine.NoEngineError as error:
        if os.environ.get("OMNIDET_TEST_DOCKER") == "required":
            raise
        pytest.skip(str(error))
