"""What a recipe says about the detector. No torch here: recipes are read without it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from omnidet.config import require
from omnidet.model.backbones.timm_vit import TimmVit

if TYPE_CHECKING:
    from omnidet.model.backbone import Backbone

BACKBONES = "omnidet.model.backbones"
"""The package of the backbones that a recipe names."""
LARGEST_SIDE = 4096
"""The longest side of an image that is allowed, in pixels."""


class BackboneConfig(Protocol):
    """What the settings of every backbone provide besides their fields."""

    @property
    def kind(self) -> str:
        """The name of its file."""
        ...

    @property
    def stride(self) -> int:
        """Pixels per token."""
        ...

    @property
    def size_multiple(self) -> int:
        """What the side of an image must be a multiple of, in pixels."""
        ...

    def check_side(self, side: int) -> None:
        """Raise ValueError with the remedy if square images of that side do not fit."""
        ...

    def without_weights(self) -> BackboneConfig:
        """The same architecture, for weights that are loaded into it afterwards."""
        ...

    def build(self, image_size: int) -> Backbone:
        """The module, with position embeddings for square images of `image_size` pixels."""
        ...


@dataclass(frozen=True)
class ModelConfig:
    """What the detector is made of."""

    image_size: int = 640
    """Side of the square input in pixels; a multiple of the backbone's `size_multiple`."""
    backbone: BackboneConfig = field(default_factory=TimmVit, metadata={"plugins": BACKBONES})
    """Set `model.backbone=KIND` for another kind, then its fields."""
    embedding_width: int = 256
    """Width of token and region embeddings; the vocabulary has tokens x width parameters."""
    calibrated_streams: int = 0
    """Number of streams, to give each a temperature and a bias of its own; 0 for none."""
    min_image_size: int = 0
    """If above 0, an image smaller than `image_size` gets a square of its own size, at least this
    large: images are scaled down to `image_size` but never up. Position embeddings are made for
    this side and resampled for others. 0: the same square for all.
    """

    def __post_init__(self) -> None:
        multiple, size, least = self.backbone.size_multiple, self.image_size, self.min_image_size
        fitting = max(multiple, round(size / multiple) * multiple)
        largest = LARGEST_SIDE // multiple * multiple
        require(
            multiple <= size <= LARGEST_SIDE and size % multiple == 0,
            f"model.image_size={size} is not a multiple of {multiple}: "
            f"give {min(fitting, largest)}",
        )
        require(
            self.calibrated_streams >= 0,
            f"model.calibrated_streams={self.calibrated_streams}: give 0 or more",
        )
        require(
            least % multiple == 0 and (least == 0 or multiple <= least <= size),
            f"model.min_image_size={least}: "
            f"give a multiple of {multiple} up to image_size={size}, or 0",
        )
        require(
            self.embedding_width >= 1,
            f"model.embedding_width={self.embedding_width}: give 1 or more",
        )

    @property
    def position_side(self) -> int:
        """The image side that the position embeddings are made for."""
        return self.min_image_size or self.image_size

    def side(self, width: int, height: int) -> int:
        """Side of the square that an image of that size is placed in."""
        multiple = self.backbone.size_multiple
        own = -(-max(width, height) // multiple) * multiple
        return min(max(own, self.position_side), self.image_size)
