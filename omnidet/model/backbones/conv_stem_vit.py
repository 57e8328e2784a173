"""A small vision transformer behind four stride-2 convolutions, for training from scratch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from omnidet.config import require

if TYPE_CHECKING:
    from omnidet.model.backbone import Backbone


@dataclass(frozen=True)
class ConvStemVit:
    """Settings of the transformer and its stem.

    Trained from scratch, a model depends on the stem: with a plain 16x16 patch embedding, the same
    model had learned next to nothing after the same 1,000 steps
    (docs/decisions/0002-convolutional-stem.md).
    """

    kind: ClassVar[str] = "conv_stem_vit"
    stride: ClassVar[int] = 16
    size_multiple: ClassVar[int] = 16

    width: int = 192
    depth: int = 6
    num_heads: int = 3
    drop_path: float = 0.0

    def __post_init__(self) -> None:
        share = self.drop_path
        require(self.depth >= 1, f"model.backbone.depth={self.depth}: give 1 or more")
        require(self.num_heads >= 1, f"model.backbone.num_heads={self.num_heads}: give 1 or more")
        require(self.width >= 8, f"model.backbone.width={self.width}: give 8 or more")
        require(0 <= share < 1, f"model.backbone.drop_path={share}: give a share from 0 to below 1")

    def check_side(self, side: int) -> None:
        """Accept any side: a multiple of the stride will do, and `ModelConfig` checks that."""

    def without_weights(self) -> ConvStemVit:
        """Itself: there are no pretrained weights."""
        return self

    def build(self, image_size: int) -> Backbone:
        """The backbone, with position embeddings for square images of `image_size` pixels."""
        from omnidet.model import vit

        fits = self.width % self.num_heads == 0
        require(
            fits,
            f"model.backbone.width={self.width} is not a multiple of num_heads={self.num_heads}",
        )
        return vit.behind_stem(
            image_size,
            width=self.width,
            depth=self.depth,
            num_heads=self.num_heads,
            drop_path=self.drop_path,
        )
