"""The index over the shard sets, and the artifact that describes them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from components.merge_shards import merge_shards
from components.run.train_detector import BETWEEN
from omnidet.data import shards
from tests.components.steps import Artifact

pytestmark = pytest.mark.slow


def test_the_artifact_says_where_and_what_the_shards_are(built):
    index = shards.read_index(built.shards)
    content, metadata = json.loads(Path(built.dataset.path).read_text()), built.dataset.metadata
    assert content["uri"] == metadata["shards_uri"] == built.shards
    assert content["dataset_version"] == metadata["dataset_version"] == index.dataset_version
    assert content["samples"]["train/coco"] == metadata["samples_train_coco"]
    assert content["shards"]["train/coco"] == {s.path: s.sha256 for s in index.sets["train/coco"]}
    # KFP's metadata takes nothing else.
    assert all(type(value) in (str, float) for value in metadata.values())


def test_other_sets_than_those_built_are_refused(built, tmp_path):
    one, *others = BETWEEN.join(built.names).split(BETWEEN)
    with pytest.raises(ValueError, match=one):
        merge_shards.python_func(
            built.folder, [BETWEEN.join(others)], Artifact(tmp_path / "wrong.json")
        )
