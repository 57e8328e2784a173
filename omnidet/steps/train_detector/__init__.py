"""The steps of the pipeline `train_detector`, one function each: locations in, locations out.

    draw_world ─▶ build_shards ─▶ build_vocabulary ─▶ train ─▶ evaluate ─▶ write_report
                        │                                         └──────▶ gate ─▶ register
                        └ or plan_shards ─▶ build_shard_set, on many machines ─▶ merge_shards

Locations are local paths or `s3://` URIs. Each step writes its output whole or not at all. Only the
steps that need torch import it: the others take half a second, and run in container images without
it. Callers use this module, `train_detector.train(...)`, and need not know which file a step is in.
"""

from omnidet.steps.train_detector.data import (
    build_shard_set,
    build_shards,
    build_shards_part,
    build_vocabulary,
    draw_world,
    group_shard_sets,
    merge_shards,
    plan_shards,
)
from omnidet.steps.train_detector.evaluation import evaluate, evaluate_once, write_report
from omnidet.steps.train_detector.registration import gate, register
from omnidet.steps.train_detector.training import take_best, train

__all__ = [
    "build_shard_set",
    "build_shards",
    "build_shards_part",
    "build_vocabulary",
    "draw_world",
    "evaluate",
    "evaluate_once",
    "gate",
    "group_shard_sets",
    "merge_shards",
    "plan_shards",
    "register",
    "take_best",
    "train",
    "write_report",
]
