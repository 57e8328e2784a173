"""The main job on real images, at a size that a laptop can run: a folder in COCO's layout, and the
other datasets if they are next to it.
"""

from __future__ import annotations

from omnidet.data.mixing.config import MixingConfig, Stream
from omnidet.data.sharding.config import Dataset, ShardsConfig
from omnidet.data.vocabulary import VocabularyConfig
from omnidet.measures.config import Benchmark, EvaluationConfig
from omnidet.model.backbones.timm_vit import TimmVit
from omnidet.model.config import ModelConfig
from omnidet.recipes.recipe import LOSSES, Recipe, RegisterConfig
from omnidet.training.config import OptimizerConfig, TrainConfig


def coco_folder() -> Recipe:
    """ViT-B/16 at 128 px from random weights: a check of formats, joins and code paths.

    It does not show what is reachable. Run it with `make demo-real DATA=<folder>`; a step at 96 px
    took 2.5 to 4 s on 2 busy cores. For a useful detector, set `model.backbone.weights=pretrained`,
    `model.image_size=640` and many more steps, on a GPU.
    """
    return Recipe(
        world=None,
        shards=ShardsConfig(
            train=(
                Dataset("train/coco", "coco", ".", "train2017"),
                Dataset("train/lvis", "lvis", ".", "v1_train", optional=True),
                Dataset("train/refcocog", "refcocog", ".", "umd/train", optional=True),
                Dataset("train/refcocog_google", "refcocog", ".", "google/val", optional=True),
                Dataset("train/flickr30k", "flickr30k", "flickr30k", "train", optional=True),
                Dataset("train/laion", "laion", "laion", "train", optional=True),
                Dataset("train/cc12m", "cc12m", "cc12m", "train", optional=True),
            ),
            evaluation=(
                Dataset("eval/coco", "coco", ".", "val2017"),
                Dataset("eval/lvis", "lvis", ".", "v1_val", optional=True),
                Dataset("eval/lvis_v0.5", "lvis", ".", "v0.5_val", optional=True),
                Dataset("eval/refcocog", "refcocog", ".", "umd/val", optional=True),
                Dataset("eval/refcocos", "refcocos", ".", "test", optional=True),
            ),
        ),
        vocabulary=VocabularyConfig(size=30_000),
        model=ModelConfig(image_size=128, backbone=TimmVit(weights="random"), embedding_width=256),
        streams=(
            Stream("det", ("train/coco", "train/lvis"), 4, transforms=("flip", "crop")),
            Stream(
                "grd",
                ("train/refcocog", "train/refcocog_google", "train/flickr30k"),
                2,
                describes=True,
                transforms=("flip",),
            ),
            Stream(
                "img",
                ("train/coco", "train/flickr30k", "train/laion", "train/cc12m"),
                2,
                boxes=False,
                captions=True,
                transforms=("flip",),
            ),
        ),
        mixing=MixingConfig(max_names=100, workers=2),
        losses=LOSSES,
        train=TrainConfig(
            steps=40,
            optimizer=OptimizerConfig(
                learning_rate=2e-4, weight_decay=0.05, warmup_steps=10, max_gradient_norm=1.0
            ),
            average_decay=0.99,
            checkpoint_every=40,
        ),
        evaluation=EvaluationConfig(
            benchmarks=(
                Benchmark("coco", "coco", "eval/coco"),
                Benchmark("lvis", "lvis", "eval/lvis", optional=True),
                Benchmark("lvis_fixed", "lvis_fixed", "eval/lvis", optional=True),
                Benchmark("lvis_v0.5", "lvis", "eval/lvis_v0.5", optional=True),
                Benchmark("absent", "absent", "eval/coco"),
                Benchmark("refcocog", "refcocog", "eval/refcocog", optional=True),
                Benchmark("refcocos", "refcocog", "eval/refcocos", optional=True),
            )
        ),
        register=RegisterConfig(name="omnidet-coco-folder"),
    )
