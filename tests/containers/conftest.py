"""The built images, once for all tests of a process. Other folders import the fixture from here."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from tests.containers import engine


@pytest.fixture(scope="session")
def docker_images() -> Iterator[engine.Images]:
    """The images of this checkout. Without an engine the test is skipped; with OMNIDET_TEST_DOCKER=required it fails."""
    try:
        with engine.engine() as docker:
            yield engine.build(docker)
    except engine.NoEngineError as error:
        if os.environ.get("OMNIDET_TEST_DOCKER") == "required":
            raise
        pytest.skip(str(error))
