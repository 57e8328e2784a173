"""A folder to be annotated."""

from __future__ import annotations

import pytest

from tests.data.annotated.drawing import Folder


@pytest.fixture
def folder(tmp_path) -> Folder:
    """Empty."""
    return Folder(tmp_path / "data")
