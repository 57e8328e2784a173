"""Backbones: images -> patch tokens. timm's vision transformers, with a patch embedding or a convolutional stem."""

from __future__ import annotations

import itertools
import pickle
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import timm
import torch
from safetensors import SafetensorError
from timm.models import load_state_dict
from timm.models.vision_transformer import VisionTransformer, checkpoint_filter_fn
from torch import Tensor, nn

from omnidet import storage
from omnidet.config import require

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


@dataclass(frozen=True)
class PretrainedConfig:
    """A timm vision transformer; the default is ViT-B/16 (85.8 M parameters)."""

    name: str = "vit_base_patch16_224.augreg2_in21k_ft_in1k"
    """Name of a timm model; the part behind the dot names its pretrained weights."""
    weights: str = "pretrained"
    """`pretrained` for timm's own weights (downloaded), the path of a file that timm can load, or `random`."""
    drop_path: float = 0.1
    """Stochastic depth of the last block; falls to 0 in the first."""


@dataclass(frozen=True)
class StemConfig:
    """A small vision transformer behind four stride-2 convolutions, to be trained from scratch.

    From scratch the stem decides: with a plain 16x16 patch embedding the same model had learned next to nothing after the
    same 1,000 steps (docs/decisions/0002-convolutional-stem.md).
    """

    width: int = 192
    depth: int = 6
    num_heads: int = 3
    drop_path: float = 0.0

    def __post_init__(self) -> None:
        require(self.depth >= 1, f"model.backbone.depth={self.depth}: give 1 or more")
        require(self.num_heads >= 1, f"model.backbone.num_heads={self.num_heads}: give 1 or more")
        require(self.width >= 8, f"model.backbone.width={self.width}: give 8 or more")


class Backbone(nn.Module):
    """A timm vision transformer without its head."""

    mean: Tensor
    std: Tensor

    def __init__(self, transformer: VisionTransformer, mean: tuple[float, ...], std: tuple[float, ...]) -> None:
        super().__init__()
        self.transformer = transformer
        self.width: int = transformer.embed_dim
        self.patch: int = 16
        self.register_buffer("mean", torch.tensor(mean).view(1, 3, 1, 1) * 255, persistent=False)
        self.register_buffer("std", torch.tensor(std).view(1, 3, 1, 1) * 255, persistent=False)

    def forward(self, images_BCHW: Tensor) -> Tensor:
        """uint8 RGB images (B, 3, H, W) -> patch tokens (B, H/16 * W/16, width), row by row."""
        normal_BCHW = (images_BCHW.to(self.mean.dtype) - self.mean) / self.std
        tokens = self.transformer.forward_features(normal_BCHW)
        return tokens[:, self.transformer.num_prefix_tokens :]


class ConvolutionalStem(nn.Module):
    """Four stride-2 3x3 convolutions in place of a 16x16 patch embedding."""

    def __init__(self, img_size: int, patch_size: int, in_chans: int, embed_dim: int, **_unused: object) -> None:
        super().__init__()
        side = img_size // patch_size
        self.grid_size = (side, side)
        self.num_patches = side * side
        self.patch_size = (patch_size, patch_size)
        channels = [in_chans, embed_dim // 8, embed_dim // 4, embed_dim // 2, embed_dim]
        layers: list[nn.Module] = []
        for before, after in itertools.pairwise(channels):
            layers += [nn.Conv2d(before, after, 3, stride=2, padding=1, bias=False), nn.GroupNorm(1, after), nn.GELU()]
        self.layers = nn.Sequential(*layers, nn.Conv2d(embed_dim, embed_dim, 1))

    def forward(self, images_BCHW: Tensor) -> Tensor:
        features: Tensor = self.layers(images_BCHW)
        return features.flatten(2).transpose(1, 2)

    def feat_ratio(self, as_scalar: bool = True) -> int | tuple[int, int]:
        """Pixels to a token, as timm asks its patch embeddings."""
        return self.patch_size[0] if as_scalar else self.patch_size


def build(config: PretrainedConfig | StemConfig, image_size: int) -> Backbone:
    """The backbone for square images of `image_size` pixels.

    Raises ValueError or FileNotFoundError if pretrained weights are missing or do not fit: a run must not start from
    random weights by accident.
    """
    if image_size % 16:
        raise ValueError(f"image_size={image_size} is not a multiple of the patch size 16")
    if isinstance(config, StemConfig):
        fits = config.width % config.num_heads == 0
        require(fits, f"model.backbone.width={config.width} is not a multiple of num_heads={config.num_heads}")
        transformer = VisionTransformer(
            img_size=image_size,
            embed_layer=ConvolutionalStem,
            embed_dim=config.width,
            depth=config.depth,
            num_heads=config.num_heads,
            drop_path_rate=config.drop_path,
            num_classes=0,
            class_token=False,
            global_pool="avg",
            fc_norm=False,
        )
        return Backbone(transformer, (0.5, 0.5, 0.5), (0.25, 0.25, 0.25))
    return _pretrained(config, image_size)


def _pretrained(config: PretrainedConfig, image_size: int) -> Backbone:
    options: dict[str, Any] = {"img_size": image_size, "num_classes": 0, "drop_path_rate": config.drop_path}
    if config.weights not in ("pretrained", "random") and not storage.exists(config.weights):
        raise FileNotFoundError(f"backbone weights {config.weights} do not exist: give a file, 'pretrained' or 'random'")
    try:
        model = timm.create_model(config.name, pretrained=config.weights == "pretrained", **options)
        if config.weights not in ("pretrained", "random") and isinstance(model, VisionTransformer):
            _load_file(model, storage.local_copy(config.weights, ".cache/weights"))
    except (RuntimeError, OSError, KeyError, TypeError, EOFError, SafetensorError, pickle.UnpicklingError) as error:
        # timm's message may run over hundreds of lines (every key that does not fit); the first says what is wrong.
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise ValueError(
            f"backbone {config.name!r} cannot take the weights {config.weights!r}: {reason}: "
            "name a timm model and weights that fit, or a local file"
        ) from error
    if not isinstance(model, VisionTransformer) or model.patch_embed.patch_size != (16, 16):
        raise ValueError(f"backbone {config.name!r} is not a vision transformer with 16x16 patches")
    own: Any = model.pretrained_cfg
    return Backbone(model, own.get("mean", IMAGENET_MEAN), own.get("std", IMAGENET_STD))


def _load_file(model: VisionTransformer, path: Path) -> None:
    """Weights of a file into the model; a classifier in the file is left out.

    Not timm's own loading: for a model without a classifier it leaves random what the file lacks, and says nothing.
    """
    state = checkpoint_filter_fn(load_state_dict(str(path), weights_only=True), model)
    missing = model.load_state_dict(state, strict=False).missing_keys
    if missing:
        raise RuntimeError(f"the file lacks {len(missing)} parameters of it, {missing[0]} the first")
