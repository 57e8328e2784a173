"""A small drawn world and the sets that it becomes, for the tests of this room."""

from __future__ import annotations

from pathlib import Path

from omnidet.data.sharding.config import Dataset, ShardsConfig
from omnidet.data.tiny_world.config import TinyWorld

SMALL = TinyWorld(
    train_images=40,
    val_images=8,
    lvis_val_from_train=3,
    refcocog_val_images=4,
    refcocog_test_images=4,
    flickr30k_train=12,
    flickr30k_val=2,
    flickr30k_test=2,
    laion_images=10,
    cc12m_samples=10,
    web_copies=2,
    broken=1,
)
CONFIG = ShardsConfig(
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
    samples_per_shard=16,
    max_bad_share=0.5,
)


def one(set_name: str, source: str, **more: bool) -> Dataset:
    """The split that `handmade` writes of a dataset, in a folder named after it."""
    return Dataset(set_name, source, source, {"coco": "val2017", "laion": "train"}[source], **more)


WEB = one("train/laion", "laion")
"""Two images, one piece each if shards hold one sample."""


def files_of(folder: str | Path) -> dict[str, bytes]:
    """Content of every file below a folder, by relative path."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in Path(folder).rglob("*")
        if path.is_file()
    }
