"""A vision transformer from timm: ViT, DeiT, DINOv2 and v3, SigLIP, EVA-02, Perception Encoder."""

from __future__ import annotations

import dataclasses
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from omnidet.config import require

if TYPE_CHECKING:
    from omnidet.model.backbone import Backbone


@dataclass(frozen=True)
class TimmVit:
    """Settings of the transformer; the default is ViT-B/16 (85.8 M parameters)."""

    kind: ClassVar[str] = "timm_vit"

    name: str = "vit_base_patch16_224.augreg2_in21k_ft_in1k"
    """Name of a timm model that takes images of any side, with class or register tokens or none and
    learned or rotary positions; the part after the dot names its pretrained weights."""
    weights: str = "pretrained"
    """`pretrained` for timm's own weights (downloaded), a local or `s3://` file that timm can load,
    or `random`."""
    drop_path: float = 0.1
    """Stochastic depth of the last block; it falls linearly to 0 in the first."""
    window: int = 0
    """Side, in patches, of the windows that blocks attend within; 0 for none.

    It must divide the number of patches along a side of the image.
    """
    global_blocks: tuple[int, ...] = (2, 5, 8, 11)
    """Blocks that attend over the whole image even so (ViTDet, arXiv 2203.16527)."""

    def __post_init__(self) -> None:
        share, window = self.drop_path, self.window
        require(0 <= share < 1, f"model.backbone.drop_path={share}: give a share from 0 to below 1")
        require(
            window >= 0,
            f"model.backbone.window={window}: give the side of a window in patches, or 0 for none",
        )

    @property
    def stride(self) -> int:
        """Pixels per token: the patch size, which timm writes into a model's name.

        With a number of its own, as in `vit_tiny_r_s16_p8_224`, the patch is one of features: those
        of a ResNet's first layers, which lie 4 pixels apart whatever the name says of a stride.
        """
        of_features = re.search(r"_s\d+_p(\d+)", self.name)
        if of_features:
            return 4 * int(of_features[1])
        found = re.search(r"patch(\d+)|_s(\d+)_", self.name)
        if found:
            return int(found[1] or found[2])
        return 32 if "_resnet" in self.name else 16  # patches of a ResNet's last stage

    @property
    def size_multiple(self) -> int:
        """The stride: an image consists of whole patches."""
        return self.stride

    def check_side(self, side: int) -> None:
        """Raise ValueError unless whole patches, and whole windows, fill square images of it."""
        require(
            side % self.stride == 0,
            f"image_size={side} is not a multiple of the patch size {self.stride}",
        )
        grid = side // self.stride
        if self.window and grid % self.window:
            fitting = [str(part) for part in range(4, grid + 1) if grid % part == 0]
            raise ValueError(
                f"model.backbone.window={self.window} does not divide the {grid} x {grid} patches "
                f"of an image: give {', '.join(fitting) or 'another image size'}, or 0 for none"
            )

    def without_weights(self) -> TimmVit:
        """The same architecture, for weights that are loaded into it afterwards."""
        return dataclasses.replace(self, weights="random")

    def build(self, image_size: int) -> Backbone:
        """The backbone, with position embeddings for square images of `image_size` pixels.

        Raises ValueError or FileNotFoundError if weights are missing or do not fit: a run must not
        start from random weights by accident.
        """
        from omnidet.model import vit

        self.check_side(image_size)
        model, sha256 = vit.from_timm(
            self.name,
            self.weights,
            image_size,
            patch=self.stride,
            drop_path=self.drop_path,
        )
        return vit.pretrained(model, self.window, self.global_blocks, sha256)
