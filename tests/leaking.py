"""A shard folder, not built by OmniDet, with evaluation images in a training set."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

from omnidet.data import shard_writer, shards
from omnidet.measures.config import Benchmark, EvaluationConfig
from omnidet.recipes.recipe import Recipe
from tests import toy_runs, toys


def write(folder: Path) -> tuple[dict[str, Any], Recipe]:
    """Write it: coco:3 and coco:4 are in `train/coco` and `eval/refcocog`.

    Returns:
        Provenance of a detector that was trained on it, and a recipe that measures it there.
    """
    records = [dataclasses.replace(r, image_id=f"coco:{n}") for n, r in enumerate(toys.records())]
    sets = {"train/coco": records[:5], "train/laion": toys.records(), "eval/refcocog": records[3:]}
    written = {name: shard_writer.write_set(own, folder, name, 4) for name, own in sets.items()}
    shards.write_index(folder, written, {}, {"held_out": {}, "quarantined": {}})
    streams = [{"name": "det", "sets": ["train/coco", "train/laion", "train/lvis"]}]
    version = shards.read_index(folder).dataset_version
    benchmark = Benchmark("refcocog", "refcocog", "eval/refcocog")
    recipe = dataclasses.replace(toy_runs.recipe(), evaluation=EvaluationConfig((benchmark,)))
    return {"dataset_version": version, "recipe": {"streams": streams}}, recipe
