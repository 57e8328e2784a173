"""Which datasets become which sets of shards, and how they are cut."""

from __future__ import annotations

from dataclasses import dataclass

from omnidet.config import require


@dataclass(frozen=True)
class Dataset:
    """One split of a dataset and the set of shards that it becomes."""

    set_name: str
    """`train/...` or `eval/...`."""
    source: str
    """Name of the adapter in `data/sources/`."""
    path: str
    """Folder of the dataset, relative to the data folder."""
    split: str
    """In the dataset's own terms, such as `train2017` or `umd/val`."""
    optional: bool = False
    """Whether a build goes on without it if it is missing."""


@dataclass(frozen=True)
class ShardsConfig:
    """What is read, and how it is cut."""

    train: tuple[Dataset, ...]
    evaluation: tuple[Dataset, ...]
    samples_per_shard: int = 1000
    """Images read for one shard, which holds the usable ones; the number in each shard of a tar."""
    max_bad_share: float = 0.1
    """Share of unusable records of a dataset above which the build stops."""
    hash_images: bool = True
    """Whether web images are compared with the evaluation images by perceptual hash."""
    max_side: int | None = None
    """Larger training images are scaled down to this many pixels. None copies images unchanged."""
    decode_images: bool = False
    """Whether each JPEG is decoded once. Otherwise only its structure is checked, which finds all
    that stops a decoder."""
    workers: int = 0
    """Processes that build; 0: one per core."""
    parts: int = 1
    """Number of parts that a pipeline splits each set into."""

    def __post_init__(self) -> None:
        require(
            self.samples_per_shard >= 1,
            f"shards.samples_per_shard={self.samples_per_shard}: give 1 or more",
        )
        require(
            0 <= self.max_bad_share <= 1,
            f"shards.max_bad_share={self.max_bad_share}: give a share from 0 to 1",
        )
        require(
            self.max_side is None or self.max_side >= 16,
            f"shards.max_side={self.max_side}: give 16 or more, or null",
        )
        require(self.workers >= 0, f"shards.workers={self.workers}: give 0 (one per core) or more")
        require(self.parts >= 1, f"shards.parts={self.parts}: give 1 or more")
