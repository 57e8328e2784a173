"""Data that several steps have made, one after the other."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest

from components.build_shard_sets import build_shard_sets
from components.draw_world import draw_world
from components.merge_shards import merge_shards
from components.plan_shards import plan_shards
from tests.components.steps import SETTINGS, Artifact


@dataclass(frozen=True)
class Built:
    """What the steps up to `merge_shards` returned and left."""

    folder: str
    data: str
    groups: list[str]
    names: list[str]
    shards: str
    dataset: Artifact


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Built:
    """The small world, drawn and sharded: seconds, so only for tests marked slow."""
    place: Path = tmp_path_factory.mktemp("built")
    folder = str(place / "data")
    data = draw_world.python_func("", folder, "tiny_world", SETTINGS)
    groups = plan_shards.python_func(data, folder, "tiny_world", SETTINGS)
    names = [build_shard_sets.python_func(group) for group in groups]
    dataset = Artifact(place / "dataset.json")
    shards = merge_shards.python_func(folder, names, dataset)
    return Built(folder, data, groups, names, shards, dataset)
