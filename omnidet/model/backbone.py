"""What the rest of the detector knows about a backbone."""

from __future__ import annotations

import abc
from typing import Any

import torch
from torch import Tensor, nn


class Backbone(nn.Module, abc.ABC):
    """uint8 RGB images -> tokens on a grid."""

    mean: Tensor
    std: Tensor
    gives_early = False
    """Whether `forward(images, early=True)` also gives the tokens before the last blocks."""
    exports_any_side = True
    """Whether an exported detector may take images of other sides than the model's."""
    weights_sha256: str = ""
    """Hash of the file that it started from; empty for random weights and those of a hub."""

    def __init__(
        self, width: int, stride: int, mean: tuple[float, ...], std: tuple[float, ...]
    ) -> None:
        """Keep what every backbone has.

        Args:
            width: of a token.
            stride: pixels per token, in both directions.
            mean: of each colour, as a share of 255, in the images that the weights were trained on.
            std: the standard deviation, likewise.
        """
        super().__init__()
        self.width, self.stride = width, stride
        self.register_buffer("mean", torch.tensor(mean).view(1, 3, 1, 1) * 255, persistent=False)
        self.register_buffer("std", torch.tensor(std).view(1, 3, 1, 1) * 255, persistent=False)

    def normalised(self, images_BCHW: Tensor) -> Tensor:
        """The images as floating-point numbers on the scale that the weights expect."""
        return (images_BCHW.to(self.mean.dtype) - self.mean) / self.std

    def grid(self, images_BCHW: Tensor) -> tuple[int, int]:
        """Rows and columns of tokens."""
        return images_BCHW.shape[-2] // self.stride, images_BCHW.shape[-1] // self.stride

    @abc.abstractmethod
    def forward(self, images_BCHW: Tensor) -> Tensor:
        """Images (B, 3, H, W) -> tokens (B, H/stride * W/stride, width), row by row.

        Raises ValueError for an image size that does not fit the backbone.
        """

    def freeze_idle(self) -> None:  # most have nothing of the kind
        """Freeze parameters that no token depends on, before training: several ranks would wait for
        their gradients, which never come.
        """

    @abc.abstractmethod
    def parameter_groups(self, weight_decay: float, layer_decay: float) -> list[dict[str, Any]]:
        """Groups for an optimizer, by depth: `params`, `weight_decay` and `lr_scale`.

        `lr_scale` is the product of `layer_decay` over the layers above the group.
        """
