"""A recipe -> the recipe of a retraining: new data and a replay of the old, all benchmarks."""

from __future__ import annotations

import dataclasses
import itertools
import math
import statistics

from omnidet.data.mixing.config import Stream
from omnidet.data.sharding.config import Dataset
from omnidet.data.shards import Index, texts
from omnidet.measures.config import Benchmark, EvaluationConfig
from omnidet.model.backbones.timm_features import TimmFeatures
from omnidet.model.config import ModelConfig
from omnidet.recipes.recipe import Recipe

_COUNTED = 1000
"""Pictures of a set whose boxes are counted."""
SOURCE = "annotated"
"""Source that reads the folders people annotate."""


def datasets(recipe: Recipe, name: str) -> Recipe:
    """The recipe that builds shards of the new data alone: `train/<name>` and `eval/<name>`.

    Images of one dataset may look alike, such as cells under a microscope, and its split is its
    owner's choice. So an evaluation image holds only itself out of the training, not near copies.
    """
    shards = dataclasses.replace(
        recipe.shards,
        train=(Dataset(f"train/{name}", SOURCE, ".", "train"),),
        evaluation=(Dataset(f"eval/{name}", SOURCE, ".", "evaluation"),),
        hash_images=False,
    )
    return dataclasses.replace(recipe, world=None, shards=shards)


def without(recipe: Recipe, name: str) -> Recipe:
    """The recipe without the pictures and the benchmark of a dataset.

    A stream that has no other pictures stays: how large a step is counts all of them.
    """
    streams = tuple(
        dataclasses.replace(
            stream, sets=tuple(own for own in stream.sets if own != f"train/{name}")
        )
        for stream in recipe.streams
    )
    others = tuple(b for b in recipe.evaluation.benchmarks if b.set_name != f"eval/{name}")
    return dataclasses.replace(recipe, streams=streams, evaluation=EvaluationConfig(others))


def retraining(recipe: Recipe, trained: ModelConfig, index: Index, name: str) -> Recipe:
    """The recipe that retrains a detector, which was trained with `recipe`, on the data `name`.

    Args:
        trained: architecture of the detector.
        index: the old shards and those of the new data, `train/<name>` and `eval/<name>`. Sets of
            earlier retrainings, which the recipe does not know, are replayed and measured too. New
            data that takes the place of an old set is not replayed beside itself.
    """
    config, new_set = recipe.retrain, f"train/{name}"
    trained = _frozen(trained, config.frozen_layers)
    side = _side(index, new_set, trained, config.image_size)
    larger = dataclasses.replace(trained, image_size=side, min_image_size=trained.position_side)
    whole, share = sum(stream.images_per_step for stream in recipe.streams), config.replay_share
    images = config.new_images or max(1, whole - round(whole * share))
    replayed = round(images * share / (1 - share)) if config.new_images else whole - images
    replay = _replay(recipe, trained, index, new_set, replayed)
    new = Stream(
        "new",
        (new_set,),
        images if replay else config.new_images or whole,
        transforms=config.transforms,
        image_size=side,
        weight=config.new_weight,
    )
    measured = {benchmark.set_name for benchmark in recipe.evaluation.benchmarks}
    added = (s for s in index.sets if s.startswith("eval/") and s not in measured)
    own = tuple(Benchmark(s.removeprefix("eval/"), "coco", s) for s in added)
    old_benchmarks = tuple(b for b in recipe.evaluation.benchmarks if b.set_name in index.sets)
    optimizer = dataclasses.replace(
        recipe.train.optimizer,
        learning_rate=config.learning_rate,
        new_token_rate=config.new_token_rate,
        warmup_steps=config.warmup_steps,
    )
    streams = (*replay, new)
    if config.balanced:
        streams = _balanced(streams, index)
    model = larger if side > trained.image_size else trained
    return dataclasses.replace(
        recipe,
        model=dataclasses.replace(model, calibrated_streams=len(streams))
        if trained.calibrated_streams
        else model,
        streams=streams,
        train=dataclasses.replace(recipe.train, steps=config.steps, optimizer=optimizer),
        evaluation=EvaluationConfig((*old_benchmarks, *own)),
    )


def _balanced(streams: tuple[Stream, ...], index: Index) -> tuple[Stream, ...]:
    """Streams of boxes, each with a weight as the square root of its boxes in a step, the largest
    1, times its own.

    A stream's losses are divided by its boxes, so the fewer they are, the more of its gradient is
    noise; after clipping, that would be most of the step (`docs/decisions/0014-photographs.md`).
    """
    boxes = {stream.name: _boxes(stream, index) for stream in streams if stream.boxes}
    most = max(boxes.values(), default=0.0)
    return tuple(
        dataclasses.replace(
            stream, weight=round(stream.weight * math.sqrt(boxes[stream.name] / most), 3)
        )
        if boxes.get(stream.name)
        else stream
        for stream in streams
    )


def _boxes(stream: Stream, index: Index) -> float:
    """Boxes in a step, by the first pictures of each set; a stream draws from all sets alike."""
    means = []
    for set_name in stream.sets:
        counts = [len(r.boxes_xyxy) for r in itertools.islice(texts(index, set_name), _COUNTED)]
        means.append(statistics.fmean(counts or [0]))
    return stream.images_per_step * statistics.fmean(means or [0])


def _frozen(trained: ModelConfig, layers: int) -> ModelConfig:
    """The architecture with so many more layers that do not learn. Raises ValueError if it has none
    that could be frozen."""
    if not layers:
        return trained
    backbone = trained.backbone
    if not isinstance(backbone, TimmFeatures):
        raise ValueError(
            f"retrain.frozen_layers={layers}: a backbone of the kind {backbone.kind} learns whole: "
            "leave it out"
        )
    layers = max(layers, backbone.frozen_layers)
    return dataclasses.replace(
        trained, backbone=dataclasses.replace(backbone, frozen_layers=layers)
    )


def _replay(
    recipe: Recipe, trained: ModelConfig, index: Index, new_set: str, images: int
) -> tuple[Stream, ...]:
    """The old streams, and one of what earlier retrainings added: `images` in each step together.

    The streams keep their proportions and image sizes.
    """
    if not images:
        return ()
    known = {set_name for stream in recipe.streams for set_name in stream.sets}
    old = [
        dataclasses.replace(
            stream,
            sets=tuple(name for name in stream.sets if name in index.sets and name != new_set),
            image_size=stream.image_size or recipe.model.image_size,
        )
        for stream in recipe.streams
    ]
    earlier = tuple(
        s for s in index.sets if s.startswith("train/") and s not in known and s != new_set
    )
    if earlier:
        share = max(1, sum(stream.images_per_step for stream in old) // 4)
        old.append(
            Stream(
                "earlier",
                earlier,
                share,
                transforms=recipe.retrain.transforms,
                image_size=trained.image_size,
            )
        )
    old = [stream for stream in old if stream.sets]
    scale = images / max(sum(stream.images_per_step for stream in old), 1)
    return tuple(
        dataclasses.replace(s, images_per_step=max(1, round(s.images_per_step * scale)))
        for s in old
    )


def _side(index: Index, set_name: str, trained: ModelConfig, wanted: int) -> int:
    """Side that new images are scaled to: as wanted if they are that large, at least the old."""
    if wanted <= trained.image_size:
        return trained.image_size
    stride = trained.backbone.size_multiple
    largest = max(max(record.width, record.height) for record in texts(index, set_name))
    return max(min(wanted, -(-largest // stride) * stride), trained.image_size)


def of_new_data(recipe: Recipe, name: str) -> Recipe:
    """The recipe of `retraining` with only the benchmark of the new data.

    It measures what the champion finds there before it has seen any of it.
    """
    new = tuple(b for b in recipe.evaluation.benchmarks if b.set_name == f"eval/{name}")
    return dataclasses.replace(recipe, evaluation=EvaluationConfig(new))
