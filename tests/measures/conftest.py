from __future__ import annotations

import pytest

from omnidet.data import shards
from omnidet.steps import train_detector
from tests import toy_runs


@pytest.fixture(scope="package")
def index(tmp_path_factory) -> shards.Index:
    """The shards of a small drawn world, with an evaluation set of every benchmark."""
    folder = tmp_path_factory.mktemp("world")
    train_detector.draw_world(folder / "world", toy_runs.recipe())
    return train_detector.build_shards(folder / "world", str(folder / "shards"), toy_runs.recipe())
