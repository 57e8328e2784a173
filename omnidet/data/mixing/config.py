"""What a recipe says about streams and batches. No torch here: recipes are read without it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from omnidet.config import require

TRANSFORMS = "omnidet.data.transforms"
"""The package of the transforms that a stream names."""


@dataclass(frozen=True)
class Stream:
    """One kind of supervision and where it comes from."""

    name: str
    sets: tuple[str, ...]
    """Shard sets, such as `train/coco`, in equal parts. Name one twice to draw from it twice as
    often."""
    images_per_step: int
    """On all ranks together."""
    boxes: bool = True
    """Whether boxes and their names are supervised."""
    describes: bool = False
    """Whether the token softmax is trained on matched regions, whose phrases describe and not only
    name an object."""
    captions: bool = False
    """Whether the caption is supervised."""
    asked_names: int = 0
    """Where captions are supervised and boxes are not: so many names of the streams with boxes are
    asked in each image, without being taught. What has a name stands out from the background by
    them, which the loss `caption_regions` needs."""
    transforms: tuple[Any, ...] = field(default=(), metadata={"plugins": TRANSFORMS})
    """Applied in this order; each is a name such as `flip`, or settings such as `PhraseCrop()`."""
    image_size: int | None = None
    """Side of the square in pixels; None for the model's. In a step, the images of each size are a
    batch of their own."""
    combine: Any = field(default=None, metadata={"plugins": TRANSFORMS})
    """Makes one image of several, such as `Mosaic()`. For names only, since a description of one
    image is not true of all."""
    sampled_negatives: int = 0
    """Fill up the names of an image to this many with names of its set that are assumed to be
    absent, for sets that list only some names of each image (LVIS); 0 for none."""
    weight: float = 1.0
    """Factor on the losses of the stream."""

    def __post_init__(self) -> None:
        of = f"stream {self.name!r}"
        require(
            self.images_per_step >= 0,
            f"streams.{self.name}.images_per_step={self.images_per_step}: "
            "give 1 or more, or 0 for none",
        )
        alone = self.combine is None or not (self.describes or self.captions)
        require(
            alone,
            f"{of}: combine={self.combine!r}: what describes one image is not true of several; "
            "leave combine out, or describes and captions",
        )
        fits = self.sampled_negatives == 0 or (self.boxes and self.sampled_negatives > 0)
        require(
            fits,
            f"{of}: sampled_negatives={self.sampled_negatives}: "
            "give 0, or more where boxes are supervised",
        )
        fits = self.asked_names == 0 or (self.captions and not self.boxes and self.asked_names > 0)
        require(
            fits,
            f"{of}: asked_names={self.asked_names}: give 0, or more where captions are supervised "
            "and boxes are not",
        )
        size = self.image_size
        require(size is None or size >= 1, f"{of}: image_size={size}: give the side in pixels")


@dataclass(frozen=True)
class MixingConfig:
    """How batches are made."""

    max_names: int = 100
    """Largest label space of an image; beyond it, verified absent names are left out at random."""
    max_boxes: int = 100
    """Most boxes of an image; bounds the memory that a crowded image takes."""
    max_caption_tokens: int = 32
    """Tokens of a caption that are looked for in the image, those with the largest weights."""
    window_shards: int = 16
    """Number of shards that are shuffled together."""
    set_aside: int = 100
    """About so many pictures of the largest set with boxes are not trained on, and the same share
    of the others, a twentieth at most: what scores mean is fitted on them after training. None are
    where they would hold too few boxes for that. 0 for none: scores are then not fitted."""
    workers: int = 2
    """Processes that make batches; 0 for none."""
    cache_gigabytes: float = 50.0
    """Size of the cache of shards from an object store, for all processes of a machine together."""
    cache_folder: str = ".cache/shards"
    """Where the cache is; best on the fastest disk."""

    def __post_init__(self) -> None:
        for name in ("max_names", "max_boxes", "max_caption_tokens", "window_shards"):
            require(
                getattr(self, name) >= 1, f"mixing.{name}={getattr(self, name)}: give 1 or more"
            )
        require(self.set_aside >= 0, f"mixing.set_aside={self.set_aside}: give 0 or more")
        require(self.workers >= 0, f"mixing.workers={self.workers}: give 0 or more")
        size = self.cache_gigabytes
        require(
            0 < size < 1e9,
            f"mixing.cache_gigabytes={size}: give more than 0, and no more than the disk holds",
        )
