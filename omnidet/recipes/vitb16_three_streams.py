"""The detector at full size: a pretrained ViT-B/16 at 640 px, three streams, one or many GPUs."""

from __future__ import annotations

import dataclasses

from omnidet import config
from omnidet.data.mixing.config import MixingConfig, Stream
from omnidet.data.transforms.large_scale_jitter import LargeScaleJitter
from omnidet.data.transforms.mosaic import Mosaic
from omnidet.data.transforms.phrase_crop import PhraseCrop
from omnidet.model.backbones.timm_vit import TimmVit
from omnidet.model.config import ModelConfig
from omnidet.recipes.coco_folder import coco_folder
from omnidet.recipes.recipe import Recipe, RegisterConfig
from omnidet.training.config import OptimizerConfig, TrainConfig


def vitb16_three_streams() -> Recipe:
    """ViT-B/16 with ImageNet weights, 150,000 steps of 80 images.

    Each step has 32 images of Det and 16 of Grd at 640 px, and 32 of Img at 320 px. Make shards and
    vocabulary as for `coco_folder`; then

        torchrun --nproc-per-node 8 -m omnidet.cli train --recipe vitb16_three_streams \\
            --shards ... --vocabulary ... --out ...

    `--set model.backbone.weights=FILE` takes weights from a local file, which must fit; otherwise
    timm downloads its own. `vitb16_three_streams_1024` is the same at 1024 px.

    Parameters: 86.9 M in the backbone at 640 px (85.8 M of the bare ViT-B/16 at 224 px, the rest
    more position embeddings), 1.4 M in the head, 15.4 M token embeddings (60,000 rows of 256 and a
    bias). A published "86 M" can only mean the bare backbone: it leaves 0.2 M for everything else.

    Hours, calculated and not measured: a step is 53 TFLOP forward and backward (319 GFLOP forward
    for an image at 640 px with windows, 74 at 320 px, three times that with the backward pass), so
    the run is 8.0e18 FLOP: 18 GPU-hours on A100s at 40 % of their 312 TFLOP/s, 6 on H100s at 40 %
    of 989. benchmarks/README.md has what was measured: step times on a CPU.

    Expect COCO AP 43.5, LVIS AP 29.9, RefCOCOg .723: published for a detector of this kind
    (protocols not stated), and **not yet reached here, since nobody has run this**. A plain
    ViT-B/16 detector on COCO alone reaches 50 in 12 epochs: if it is below 45 after the first
    third, something is wrong.
    """
    return dataclasses.replace(
        coco_folder(),
        model=ModelConfig(
            image_size=640,
            # Windows of 20 x 20 patches. 10 would divide both grids too, but it would see a
            # quarter of the surroundings and save little.
            backbone=TimmVit(drop_path=0.1, window=20, global_blocks=(2, 5, 8, 11)),
            embedding_width=256,
            calibrated_streams=3,
        ),
        streams=(
            # COCO lists all of its names for each image; LVIS's are filled up to 50, as in Detic.
            Stream(
                "det",
                ("train/coco", "train/lvis"),
                32,
                transforms=("flip", LargeScaleJitter(0.1, 2.0)),
                combine=Mosaic(shares=(0.4, 0.3, 0.3)),
                sampled_negatives=50,
            ),
            Stream(
                "grd",
                ("train/refcocog", "train/refcocog_google", "train/flickr30k"),
                16,
                describes=True,
                transforms=("flip", PhraseCrop(), LargeScaleJitter(0.5, 1.0)),
            ),
            # Half the resolution is enough for captions, at a quarter of the cost (Detic, arXiv
            # 2201.02605).
            Stream(
                "img",
                ("train/coco", "train/flickr30k", "train/laion", "train/cc12m"),
                32,
                boxes=False,
                captions=True,
                transforms=("flip",),
                image_size=320,
            ),
        ),
        mixing=MixingConfig(max_names=300, workers=8),
        train=TrainConfig(
            steps=150_000,
            # Learning rate and weight decay of ViTDet on LVIS with 64 images in each step; layer
            # decay of LW-DETR.
            optimizer=OptimizerConfig(
                learning_rate=2e-4,
                weight_decay=0.1,
                warmup_steps=1000,
                layer_decay=0.75,
                max_gradient_norm=1.0,
            ),
            average_decay=0.9998,
            log_every=50,
            checkpoint_every=2000,
        ),
        register=RegisterConfig(name="omnidet-vitb16"),
    )


def vitb16_three_streams_1024() -> Recipe:
    """The same at 1024 px (Img at 512), with windows of 16 x 16 patches.

    The forward pass of an image takes 928 GFLOP, or 1,314 without windows; by calculation, the run
    takes three times the GPU-hours of 640 px. Expect better numbers on small objects, **not yet
    reached here, since nobody has run this**.
    """
    recipe = vitb16_three_streams()
    return config.override(
        dataclasses.replace(
            recipe,
            streams=tuple(
                dataclasses.replace(s, image_size=512) if s.image_size else s
                for s in recipe.streams
            ),
            register=RegisterConfig(name="omnidet-vitb16-1024"),
        ),
        "model.image_size=1024",
        "model.backbone.window=16",
    )
