"""The demo: three streams of a small synthetic world, from scratch."""

from __future__ import annotations

import dataclasses

from omnidet.data.mixing.config import MixingConfig, Stream
from omnidet.data.sharding.config import Dataset, ShardsConfig
from omnidet.data.tiny_world.config import TinyWorld
from omnidet.data.vocabulary import VocabularyConfig
from omnidet.matching.config import CostConfig, MatchingConfig
from omnidet.measures.config import Benchmark, EvaluationConfig
from omnidet.model.backbones.conv_stem_vit import ConvStemVit
from omnidet.model.config import ModelConfig
from omnidet.recipes.recipe import LOSSES, Recipe, RegisterConfig, RetrainConfig
from omnidet.training.config import OptimizerConfig, TrainConfig, WeightedLoss


def tiny_world() -> Recipe:
    """A small vision transformer with a convolutional stem on 128 px scenes.

    Run it with `make demo`: 5 to 12 minutes on 2 cores. Expect coco/AP .65, coco/AP50 .85, lvis/AP
    .70, refcocog/AIGT_plain .97, AIGT_relational .94, AIGT_unseen .92, flickr30k/R@1 .99; with
    `train.steps=2200`, .76, .95, .78, .99, .96, .96, .99.
    """
    return Recipe(
        world=TinyWorld(),
        shards=ShardsConfig(
            train=(
                Dataset("train/coco", "coco", "coco", "train2017"),
                Dataset("train/lvis", "lvis", "coco", "v1_train"),
                Dataset("train/refcocog", "refcocog", "coco", "umd/train"),
                Dataset("train/flickr30k", "flickr30k", "flickr30k", "train"),
                Dataset("train/laion", "laion", "laion", "train"),
                Dataset("train/cc12m", "cc12m", "cc12m", "train"),
            ),
            evaluation=(
                Dataset("eval/coco", "coco", "coco", "val2017"),
                Dataset("eval/lvis", "lvis", "coco", "v1_val"),
                Dataset("eval/refcocog", "refcocog", "coco", "umd/val"),
                Dataset("eval/refcocog_unseen", "refcocog", "coco", "umd/test"),
                Dataset("eval/flickr30k", "flickr30k", "flickr30k", "test"),
            ),
        ),
        vocabulary=VocabularyConfig(size=2000),
        model=ModelConfig(image_size=128, backbone=ConvStemVit(), embedding_width=192),
        streams=(
            Stream(
                "det", ("train/coco", "train/lvis"), 7, transforms=("flip", "crop", "relations")
            ),
            Stream(
                "grd",
                ("train/refcocog", "train/refcocog", "train/flickr30k"),
                8,
                describes=True,
                transforms=("flip",),
            ),
            Stream(
                "img",
                ("train/laion", "train/cc12m"),
                1,
                boxes=False,
                captions=True,
                transforms=("flip",),
            ),
        ),
        mixing=MixingConfig(max_names=40, workers=2),
        losses=(
            *LOSSES,
            WeightedLoss("region_alignment", 0.3),
            WeightedLoss("doubles", 12.0),
        ),
        matching=MatchingConfig(cost=CostConfig(place=1.0), early_regions=4),
        train=TrainConfig(
            steps=1400,
            optimizer=OptimizerConfig(
                learning_rate=1e-3, weight_decay=0.05, warmup_steps=50, max_gradient_norm=1.0
            ),
            average_decay=0.99,
            checkpoint_every=200,
        ),
        evaluation=EvaluationConfig(
            benchmarks=(
                Benchmark("coco", "coco", "eval/coco"),
                Benchmark("lvis", "lvis", "eval/lvis"),
                Benchmark("refcocog", "refcocog", "eval/refcocog"),
                Benchmark("refcocog", "refcocog", "eval/refcocog_unseen", suffix="unseen"),
                Benchmark("flickr30k", "flickr30k", "eval/flickr30k"),
                Benchmark("absent", "absent", "eval/lvis"),
            )
        ),
        register=RegisterConfig(name="omnidet-tiny-world"),
        # Twice as many old images as new ones (docs/decisions/0008-new-categories.md).
        retrain=RetrainConfig(image_size=256, new_images=8, replay_share=2 / 3),
    )


def tiny_world_det() -> Recipe:
    """The demo with the Det stream alone, to compare with (docs/decisions/0005)."""
    recipe = tiny_world()
    return dataclasses.replace(
        recipe,
        streams=tuple(stream for stream in recipe.streams if stream.name == "det"),
        register=RegisterConfig(name="omnidet-tiny-world-det"),
    )
