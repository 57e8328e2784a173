"""Shards + vocabulary -> trained detector."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from omnidet import config, storage
from omnidet.data import shards
from omnidet.data.mixing.streams import class_names, with_data
from omnidet.data.vocabulary import Vocabulary
from omnidet.model import bundle
from omnidet.recipes.recipe import Recipe
from omnidet.storage import Location

if TYPE_CHECKING:
    from omnidet.model.config import ModelConfig


def train(
    shards_location: Location,
    vocabulary_location: Location,
    out: Location,
    recipe: Recipe,
    work: Location | None = None,
    *,
    start: Location | None = None,
    facts: Mapping[str, Any] | None = None,
) -> None:
    """Shards + vocabulary -> trained detector in the folder `out`.

    Args:
        work: folder for checkpoints and the metric log, local or `s3://`; default `<out>.work`. A
            run with the same recipe and data continues from its newest checkpoint there, on any
            machine and with any number of ranks.
        start: trained detector to start from, whose vocabulary this one extends; without it,
            training is from scratch.
        facts: more provenance for `config.json`.
    """
    from omnidet.data.mixing.mixture import Loader, Mixture
    from omnidet.model import grow
    from omnidet.model.detector import Detector
    from omnidet.training import distributed, loop, objective, runs

    started = time.monotonic()
    index = shards.read_index(shards_location)
    vocabulary = Vocabulary.load(storage.local_copy(vocabulary_location, ".cache/vocabulary"))
    streams, left_out = with_data(recipe.streams, index)
    model = _model_config(recipe, len(streams))
    trained = bundle.load(storage.local_copy(start, ".cache/models")) if start else None
    if trained:  # its weights replace those that the backbone began with, once
        model = dataclasses.replace(model, backbone=model.backbone.without_weights())
    plain, weights = config.describe(recipe), trained[2]["weights_sha256"] if trained else ""
    origin = runs.provenance(plain, index, vocabulary, weights) | dict(facts or {})
    work = _require_places(shards_location, vocabulary_location, out, work)
    folder = storage.join(work, origin["run"])
    with distributed.world() as world, runs.alone(folder, world):
        if world.is_main:
            for line in (*left_out, *runs.others(work, origin)):
                print(line)
        loop.seed_everything(recipe.train.seed)
        detector = Detector(model, vocabulary.num_tokens)
        if detector.backbone.weights_sha256:
            origin["backbone_weights_sha256"] = detector.backbone.weights_sha256
        if trained:
            grow.load_grown(detector, trained[0], trained[1], vocabulary)
        mixture = Mixture(
            index,
            vocabulary,
            streams,
            recipe.mixing,
            image_size=recipe.model.image_size,
            seed=recipe.train.seed,
            rank=world.rank,
            world_size=world.size,
        )
        averaged = loop.fit(
            detector,
            Loader(mixture, recipe.train.steps),
            losses=objective.resolve(recipe.losses),
            config=recipe.train,
            world=world,
            folder=folder,
            matching=recipe.matching,
            provenance={**origin, "shard_sha256": _hashes(index)},
        )
        if world.is_main:
            origin["train_seconds"] = round(time.monotonic() - started)
            names = class_names(streams, index) | set(trained[2]["names"] if trained else ())
            with storage.staged_directory(out) as stage:
                bundle.save(stage, averaged, vocabulary, sorted(names), origin)
                log = storage.read_bytes(loop.log_path(folder))
                storage.write_bytes(stage / "training.jsonl", log)
            print(f"trained detector in {out}")


def _model_config(recipe: Recipe, num_streams: int) -> ModelConfig:
    """The model for the streams that have data.

    Raises ValueError if the recipe does not fit itself.
    """
    config.require(
        bool(recipe.losses), "losses=[]: there is nothing to learn from; give at least one"
    )
    calibrated = recipe.model.calibrated_streams
    config.require(
        calibrated in (0, len(recipe.streams)),
        f"model.calibrated_streams={calibrated}, but there are {len(recipe.streams)} streams: "
        "give their number, or 0",
    )
    own = num_streams if calibrated else 0
    return dataclasses.replace(recipe.model, calibrated_streams=own)


def _require_places(
    shards_location: Location, vocabulary_location: Location, out: Location, work: Location | None
) -> Location:
    """The folder for checkpoints.

    Raises ValueError or OSError if a training may not, or cannot, write there or to `out`.
    """
    inputs = (shards_location, vocabulary_location)
    storage.require_replaceable(out, "config.json", *inputs, *([work] if work else []))
    work = work or f"{out}.work"
    for other in (out, *inputs):
        storage.require_outside(work, other)
    storage.require_writable(out)
    return work


def _hashes(index: shards.Index) -> dict[str, dict[str, str]]:
    """SHA-256 of every shard, by set and path."""
    return {name: {part.path: part.sha256 for part in parts} for name, parts in index.sets.items()}
