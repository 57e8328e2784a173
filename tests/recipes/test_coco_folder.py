from __future__ import annotations

from omnidet.recipes.coco_folder import coco_folder


def test_coco_is_all_that_must_be_there():
    shards = coco_folder().shards
    needed = [d.set_name for d in (*shards.train, *shards.evaluation) if not d.optional]
    assert needed == ["train/coco", "eval/coco"]
    measured = coco_folder().evaluation.benchmarks
    assert {b.set_name for b in measured if not b.optional} <= set(needed)
