"""The small world of `small.py`, drawn once, and its shards, built once."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from omnidet.data import shards
from omnidet.data.sharding import build
from omnidet.data.tiny_world.draw import draw
from tests.data.sharding.small import CONFIG, SMALL


@pytest.fixture(scope="session")
def world(tmp_path_factory) -> Path:
    """The folder of the drawn datasets."""
    root = tmp_path_factory.mktemp("world") / "drawn"
    draw(SMALL, root, processes=1)
    return root


@pytest.fixture(scope="session")
def facts(world) -> dict[str, Any]:
    """What the world says it planted."""
    return json.loads((world / "world.json").read_text())


@pytest.fixture(scope="session")
def index(world, tmp_path_factory) -> shards.Index:
    """The shards of the world. Tests change nothing in them."""
    return build.build(world, str(tmp_path_factory.mktemp("built") / "shards"), CONFIG)
