"""A small world, drawn once."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from omnidet.data.tiny_world.draw import draw
from tests.data.tiny_world.reading import (
    SMALL,
)


@pytest.fixture(scope="session")
def world(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("world") / "drawn"
    draw(SMALL, root, processes=1)
    return root


@pytest.fixture(scope="session")
def facts(world):
    return json.loads((world / "world.json").read_text())
