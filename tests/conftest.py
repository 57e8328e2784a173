"""Fixtures that every test may use."""

from __future__ import annotations

from pathlib import Path

import pytest

SHARED_DATA = Path(__file__).resolve().parents[1] / ".." / "shared" / "data"


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real samples beside the repository; they are never copied into it."""
    if not SHARED_DATA.is_dir():
        pytest.skip(f"the real samples are not here: {SHARED_DATA} does not exist")
    return SHARED_DATA.resolve()
