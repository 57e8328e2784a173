"""The module behind `backbones/conv_stem_vit.py`: a small vision transformer behind convolutions.

The layers, their names and their first weights are those of timm's vision transformer, which
`tests/model/test_stem_vit.py` compares with. Written out here, a process is ready in half the time:
timm imports all of its models, and torchvision with torch's compiler.
"""

from __future__ import annotations

import itertools
import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from omnidet.model.backbone import Backbone

STRIDE = 16
EPSILON = 1e-6
"""Of the norms, as in timm."""
FIRST_SPREAD = 0.02
"""Standard deviation of the first weights."""


class StemVit(Backbone):
    """Images -> tokens of a transformer behind a convolutional stem of stride 16."""

    def __init__(
        self, image_size: int, *, width: int, depth: int, num_heads: int, drop_path: float
    ) -> None:
        """Make it with random weights, and position embeddings for squares of `image_size` px.

        Raises ValueError if the stride does not divide that.
        """
        if image_size % STRIDE:
            raise ValueError(
                f"image_size={image_size} is not a multiple of the patch size {STRIDE}"
            )
        super().__init__(width, STRIDE, (0.5, 0.5, 0.5), (0.25, 0.25, 0.25))
        rates = torch.linspace(0, drop_path, depth).tolist()
        self.transformer = Transformer(image_size // STRIDE, width, num_heads, rates)

    def forward(self, images_BCHW: Tensor) -> Tensor:
        """Images (B, 3, H, W) -> patch tokens (B, H/16 * W/16, width), row by row.

        Position embeddings are resampled for sizes other than the one they were made for.
        """
        tokens: Tensor = self.transformer(self.normalised(images_BCHW))
        return tokens

    def parameter_groups(self, weight_decay: float, layer_decay: float) -> list[dict[str, Any]]:
        """timm's groups: norms, biases and position embeddings do not decay."""
        from timm.optim import param_groups_layer_decay  # type: ignore[attr-defined]

        groups: list[dict[str, Any]] = param_groups_layer_decay(
            self.transformer, weight_decay, layer_decay=layer_decay
        )
        return groups


class ConvolutionalStem(nn.Module):
    """Four stride-2 3x3 convolutions in place of a 16x16 patch embedding."""

    def __init__(self, width: int) -> None:
        super().__init__()
        channels = [3, width // 8, width // 4, width // 2, width]
        layers: list[nn.Module] = []
        for before, after in itertools.pairwise(channels):
            layers += [
                nn.Conv2d(before, after, 3, stride=2, padding=1, bias=False),
                nn.GroupNorm(1, after),
                nn.GELU(),
            ]
        self.layers = nn.Sequential(*layers, nn.Conv2d(width, width, 1))

    def forward(self, images_BCHW: Tensor) -> Tensor:
        """Features (B, H/16, W/16, width)."""
        features: Tensor = self.layers(images_BCHW)
        return features.permute(0, 2, 3, 1)


class Transformer(nn.Module):
    """Stem, position embeddings, blocks and a norm."""

    def __init__(self, side: int, width: int, num_heads: int, drop_path: list[float]) -> None:
        """Make it with random weights.

        Args:
            side: patches along a side of the square that position embeddings are made for.
            drop_path: for each block, the share of images that skip it in training.
        """
        super().__init__()
        self.side = side
        self.patch_embed = ConvolutionalStem(width)
        self.pos_embed = nn.Parameter(torch.empty(1, side * side, width))
        self.blocks = nn.Sequential(*(Block(width, num_heads, rate) for rate in drop_path))
        self.norm = nn.LayerNorm(width, EPSILON)
        _draw(self.pos_embed)
        for module in self.blocks.modules():
            if isinstance(module, nn.Linear):
                _draw(module.weight)
                nn.init.zeros_(module.bias)

    def forward(self, images_BCHW: Tensor) -> Tensor:
        """Normalised images (B, 3, H, W) -> tokens (B, H/16 * W/16, width)."""
        features_BHWC = self.patch_embed(images_BCHW)
        batch, rows, columns, width = features_BHWC.shape
        tokens_BQW = features_BHWC.reshape(batch, rows * columns, width)
        tokens: Tensor = self.norm(self.blocks(tokens_BQW + self._positions(rows, columns)))
        return tokens

    def _positions(self, rows: int, columns: int) -> Tensor:
        """Position embeddings (1, rows * columns, width)."""
        if (rows, columns) == (self.side, self.side):
            return self.pos_embed
        width = self.pos_embed.shape[-1]
        square = self.pos_embed.float().reshape(1, self.side, self.side, width).permute(0, 3, 1, 2)
        resampled = functional.interpolate(square, (rows, columns), mode="bicubic", antialias=True)
        return resampled.flatten(2).transpose(1, 2).to(self.pos_embed.dtype)

    def no_weight_decay(self) -> set[str]:
        """Parameters that do not decay; timm's optimizer groups ask for it."""
        return {"pos_embed"}

    def group_matcher(self, **_unused: object) -> dict[str, Any]:
        """Patterns of parameters by depth, for timm's optimizer groups."""
        return {
            "stem": r"^pos_embed|patch_embed",
            "blocks": [(r"^blocks\.(\d+)", None), (r"^norm", (99999,))],
        }


class Block(nn.Module):
    """Attention and two layers, each after a norm and beside a way around it."""

    def __init__(self, width: int, num_heads: int, drop_path: float) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(width, EPSILON)
        self.attn = Attention(width, num_heads)
        self.drop_path1 = DropPath(drop_path)
        self.norm2 = nn.LayerNorm(width, EPSILON)
        self.mlp = Mlp(width)
        self.drop_path2 = DropPath(drop_path)

    def forward(self, tokens_BQW: Tensor) -> Tensor:
        """Tokens (B, Q, width) -> tokens (B, Q, width)."""
        tokens_BQW = tokens_BQW + self.drop_path1(self.attn(self.norm1(tokens_BQW)))
        changed: Tensor = tokens_BQW + self.drop_path2(self.mlp(self.norm2(tokens_BQW)))
        return changed


class Attention(nn.Module):
    """Each token looks at all of its image."""

    def __init__(self, width: int, num_heads: int) -> None:
        super().__init__()
        self.num_heads, self.scale = num_heads, (width // num_heads) ** -0.5
        self.qkv = nn.Linear(width, 3 * width)
        self.proj = nn.Linear(width, width)

    def forward(self, tokens_BQW: Tensor) -> Tensor:
        """Tokens (B, Q, width) -> tokens (B, Q, width)."""
        batch, number, width = tokens_BQW.shape
        heads = self.qkv(tokens_BQW).reshape(batch, number, 3, self.num_heads, -1)
        query, key, value = heads.permute(2, 0, 3, 1, 4).unbind(0)
        mixed = functional.scaled_dot_product_attention(query, key, value)
        projected: Tensor = self.proj(mixed.transpose(1, 2).reshape(batch, number, width))
        return projected


class Mlp(nn.Module):
    """Two layers, the inner one four times as wide."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(width, 4 * width)
        self.act = nn.GELU()
        self.fc2 = nn.Linear(4 * width, width)

    def forward(self, tokens: Tensor) -> Tensor:
        """Numbers (..., width) -> numbers (..., width)."""
        changed: Tensor = self.fc2(self.act(self.fc1(tokens)))
        return changed


class DropPath(nn.Module):
    """In training, nothing for a share of the images, and that much more for the others."""

    def __init__(self, drop_prob: float) -> None:
        super().__init__()
        self.drop_prob = drop_prob

    def forward(self, tokens_BQW: Tensor) -> Tensor:
        """Tokens (B, Q, width) -> the same, or 0 for some images."""
        if not self.training or not self.drop_prob:
            return tokens_BQW
        kept = 1 - self.drop_prob
        return tokens_BQW * tokens_BQW.new_empty(len(tokens_BQW), 1, 1).bernoulli_(kept).div_(kept)


@torch.no_grad()
def _draw(weights: Tensor) -> None:
    """Normal weights, from the same random numbers as timm's: torch's own draw others by version.

    Of numbers that are drawn evenly the one at the border becomes infinite, so there is a bound.
    """
    weights.uniform_(-1, 1).erfinv_().mul_(FIRST_SPREAD * math.sqrt(2)).clamp_(-2, 2)
