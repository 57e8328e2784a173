"""A recipe -> the recipe of a retraining: the new data beside a replay of the old streams, all benchmarks old and new."""

from __future__ import annotations

import dataclasses

from omnidet.data import transforms
from omnidet.data.build import Dataset
from omnidet.data.mixing import Stream
from omnidet.data.shards import Index
from omnidet.inference import benchmarks
from omnidet.inference.benchmarks import Benchmark, EvaluationConfig
from omnidet.recipes.recipe import Recipe

SOURCE = "annotated"
"""Adapter of what people bring."""


def datasets(recipe: Recipe, name: str) -> Recipe:
    """The recipe whose shards are those of the new data alone: `train/<name>` and `eval/<name>`."""
    shards = dataclasses.replace(
        recipe.shards,
        train=(Dataset(f"train/{name}", SOURCE, ".", "train"),),
        evaluation=(Dataset(f"eval/{name}", SOURCE, ".", "evaluation"),),
    )
    return dataclasses.replace(recipe, world=None, shards=shards)


def retraining(recipe: Recipe, index: Index, name: str) -> Recipe:
    """The run that teaches `name` to a detector that was trained with `recipe`.

    Args:
        index: the old shards and those of the new data, as `train/<name>` and `eval/<name>`. Sets of earlier retrainings,
            which the recipe does not know, are replayed and measured too.
    """
    config, new_set = recipe.retrain, f"train/{name}"
    whole = sum(stream.images_per_step for stream in recipe.streams)
    known = {set_name for stream in recipe.streams for set_name in stream.sets}
    earlier = tuple(s for s in index.sets if s.startswith("train/") and s not in known and s != new_set)
    old = [*recipe.streams]
    if earlier:
        old.append(Stream("earlier", earlier, max(1, whole // 4), transforms=(transforms.flip, transforms.crop)))
    old = [dataclasses.replace(s, sets=tuple(n for n in s.sets if n in index.sets)) for s in old]
    old = [stream for stream in old if stream.sets] if config.replay_share else []
    replayed = round(whole * config.replay_share)
    scale = replayed / max(sum(stream.images_per_step for stream in old), 1)
    replay = tuple(dataclasses.replace(s, images_per_step=max(1, round(s.images_per_step * scale))) for s in old)
    new = Stream("new", (new_set,), max(1, whole - replayed), transforms=(transforms.flip, transforms.crop))
    measured = {benchmark.set_name for benchmark in recipe.evaluation.benchmarks}
    added = (s for s in index.sets if s.startswith("eval/") and s not in measured)
    own = tuple(Benchmark(s.removeprefix("eval/"), benchmarks.coco, s) for s in added)
    old_benchmarks = tuple(b for b in recipe.evaluation.benchmarks if b.set_name in index.sets)
    optimizer = dataclasses.replace(
        recipe.train.optimizer, learning_rate=config.learning_rate, warmup_steps=config.warmup_steps
    )
    return dataclasses.replace(
        recipe,
        streams=(*replay, new),
        train=dataclasses.replace(recipe.train, steps=config.steps, optimizer=optimizer),
        evaluation=EvaluationConfig((*old_benchmarks, *own)),
    )


def of_new_data(recipe: Recipe, name: str) -> Recipe:
    """The recipe of `retraining` with the benchmark of the new data alone: what the champion makes of it untrained."""
    new = tuple(b for b in recipe.evaluation.benchmarks if b.set_name == f"eval/{name}")
    return dataclasses.replace(recipe, evaluation=EvaluationConfig(new))
