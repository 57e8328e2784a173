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
    window: int = 0
    """Side, in patches, of the windows that blocks attend within; 0 for none. Must divide the patches of a side."""
    global_blocks: tuple[int, ...] = (2, 5, 8, 11)
    """Blocks that attend over the whole image all the same (ViTDet, arXiv 2203.16527)."""

    def __post_init__(self) -> None:
        _require_drop_path(self.drop_path)
        require(
            self.window >= 0,
            f"model.backbone.window={self.window}: give 0 (none) or the patches of a window's side",
        )


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
        _require_drop_path(self.drop_path)


def _require_drop_path(share: float) -> None:
    require(0 <= share < 1, f"model.backbone.drop_path={share}: give a share from 0 to below 1")


class Backbone(nn.Module):
    """A timm vision transformer without its head."""

    mean: Tensor
    std: Tensor

    def __init__(
        self,
        transformer: VisionTransformer,
        mean: tuple[float, ...],
        std: tuple[float, ...],
        window: int = 0,
        global_blocks: tuple[int, ...] = (),
    ) -> None:
        super().__init__()
        self.transformer = transformer
        self.window, self.global_blocks = window, global_blocks
        self.width: int = transformer.embed_dim
        self.patch: int = 16
        self.register_buffer("mean", torch.tensor(mean).view(1, 3, 1, 1) * 255, persistent=False)
        self.register_buffer("std", torch.tensor(std).view(1, 3, 1, 1) * 255, persistent=False)

    def forward(self, images_BCHW: Tensor) -> Tensor:
        """uint8 RGB images (B, 3, H, W) -> patch tokens (B, H/16 * W/16, width), row by row.

        Position embeddings are resampled for another size than the one it was built for. Raises ValueError if the windows
        do not fill the image.
        """
        normal_BCHW = (images_BCHW.to(self.mean.dtype) - self.mean) / self.std
        grid = images_BCHW.shape[-2] // self.patch, images_BCHW.shape[-1] // self.patch
        tokens = (
            self._in_windows(normal_BCHW, grid)
            if self.window
            else self.transformer.forward_features(normal_BCHW)
        )
        return tokens[:, self.transformer.num_prefix_tokens :]

    def _in_windows(self, normal_BCHW: Tensor, grid: tuple[int, int]) -> Tensor:
        """timm's `forward_features`, with attention inside windows in all but the global blocks.

        A class token goes into every window, and leaves as the mean of what came of it.
        """
        require_fitting(self.window, grid)
        steps = self.transformer
        tokens = steps.norm_pre(steps.patch_drop(steps._pos_embed(steps.patch_embed(normal_BCHW))))
        inside = False
        for number, block in enumerate(steps.blocks):
            if (number not in self.global_blocks) != inside:
                tokens = self._join(tokens, grid) if inside else self._split(tokens, grid)
                inside = not inside
            tokens = block(tokens)
        whole: Tensor = steps.norm(self._join(tokens, grid) if inside else tokens)
        return whole

    def _split(self, tokens_BNW: Tensor, grid: tuple[int, int]) -> Tensor:
        """An image's tokens -> those of its windows, as images of their own."""
        (rows, columns), side, prefixes = grid, self.window, self.transformer.num_prefix_tokens
        batch, _, width = tokens_BNW.shape
        prefix, patches = tokens_BNW[:, :prefixes], tokens_BNW[:, prefixes:]
        windows = patches.reshape(
            batch, rows // side, side, columns // side, side, width
        ).transpose(2, 3)
        windows = windows.reshape(batch, -1, side * side, width)
        repeated = prefix[:, None].expand(-1, windows.shape[1], -1, -1)
        return torch.cat([repeated, windows], 2).flatten(0, 1)

    def _join(self, tokens_KNW: Tensor, grid: tuple[int, int]) -> Tensor:
        """The reverse of `_split`."""
        (rows, columns), side, prefixes = grid, self.window, self.transformer.num_prefix_tokens
        whole = tokens_KNW.reshape(-1, rows // side * (columns // side), *tokens_KNW.shape[1:])
        prefix, windows = whole[:, :, :prefixes].mean(1), whole[:, :, prefixes:]
        patches = windows.reshape(
            len(whole), rows // side, columns // side, side, side, whole.shape[-1]
        ).transpose(2, 3)
        return torch.cat([prefix, patches.flatten(1, 4)], 1)


class ConvolutionalStem(nn.Module):
    """Four stride-2 3x3 convolutions in place of a 16x16 patch embedding."""

    def __init__(
        self, img_size: int, patch_size: int, in_chans: int, embed_dim: int, **_unused: object
    ) -> None:
        """As timm builds its patch embeddings; for images of any size, tokens come as (B, height, width, width of a token)."""
        super().__init__()
        side = img_size // patch_size
        self.grid_size = (side, side)
        self.num_patches = side * side
        self.patch_size = (patch_size, patch_size)
        channels = [in_chans, embed_dim // 8, embed_dim // 4, embed_dim // 2, embed_dim]
        layers: list[nn.Module] = []
        for before, after in itertools.pairwise(channels):
            layers += [
                nn.Conv2d(before, after, 3, stride=2, padding=1, bias=False),
                nn.GroupNorm(1, after),
                nn.GELU(),
            ]
        self.layers = nn.Sequential(*layers, nn.Conv2d(embed_dim, embed_dim, 1))

    def forward(self, images_BCHW: Tensor) -> Tensor:
        """Features (B, H/16, W/16, width), which timm asks for where the image size may change."""
        features: Tensor = self.layers(images_BCHW)
        return features.permute(0, 2, 3, 1)

    def feat_ratio(self, as_scalar: bool = True) -> int | tuple[int, int]:
        """Pixels to a token, as timm asks its patch embeddings."""
        return self.patch_size[0] if as_scalar else self.patch_size


def build(config: PretrainedConfig | StemConfig, image_size: int) -> Backbone:
    """The backbone, its position embeddings made for square images of `image_size` pixels; it takes others too.

    Raises ValueError or FileNotFoundError if pretrained weights are missing or do not fit: a run must not start from
    random weights by accident.
    """
    if image_size % 16:
        raise ValueError(f"image_size={image_size} is not a multiple of the patch size 16")
    if isinstance(config, StemConfig):
        fits = config.width % config.num_heads == 0
        require(
            fits,
            f"model.backbone.width={config.width} is not a multiple of num_heads={config.num_heads}",
        )
        transformer = VisionTransformer(
            img_size=image_size,
            embed_layer=ConvolutionalStem,
            embed_dim=config.width,
            depth=config.depth,
            num_heads=config.num_heads,
            drop_path_rate=config.drop_path,
            num_classes=0,
            class_token=False,
            dynamic_img_size=True,
            global_pool="avg",
            fc_norm=False,
        )
        return Backbone(transformer, (0.5, 0.5, 0.5), (0.25, 0.25, 0.25))
    return _pretrained(config, image_size)


def _pretrained(config: PretrainedConfig, image_size: int) -> Backbone:
    options: dict[str, Any] = {
        "img_size": image_size,
        "num_classes": 0,
        "drop_path_rate": config.drop_path,
    }
    options["dynamic_img_size"] = True
    if config.window:
        require_fitting(config.window, (image_size // 16, image_size // 16))
    if config.weights not in ("pretrained", "random") and not storage.exists(config.weights):
        raise FileNotFoundError(
            f"backbone weights {config.weights} do not exist: give a file, 'pretrained' or 'random'"
        )
    try:
        model = timm.create_model(config.name, pretrained=config.weights == "pretrained", **options)
        if config.weights not in ("pretrained", "random") and isinstance(model, VisionTransformer):
            _load_file(model, storage.local_copy(config.weights, ".cache/weights"))
    except (
        RuntimeError,
        OSError,
        KeyError,
        TypeError,
        AttributeError,
        EOFError,
        SafetensorError,
        pickle.UnpicklingError,
    ) as error:
        # timm's message may run over hundreds of lines (every key that does not fit); the first says what is wrong.
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        if isinstance(
            error, LookupError | AttributeError | TypeError
        ):  # a file of another kind: the text alone says little
            reason = f"it holds no weights ({type(error).__name__}: {reason})"
        raise ValueError(
            f"backbone {config.name!r} cannot take the weights {config.weights!r}: {reason}: "
            "name a timm model and weights that fit, or a local file"
        ) from error
    if not isinstance(model, VisionTransformer) or model.patch_embed.patch_size != (16, 16):
        raise ValueError(f"backbone {config.name!r} is not a vision transformer with 16x16 patches")
    depth = len(model.blocks)
    strangers = (
        [number for number in config.global_blocks if not 0 <= number < depth]
        if config.window
        else []
    )
    require(
        not strangers,
        f"model.backbone.global_blocks={list(config.global_blocks)}: give numbers from 0 to {depth - 1}",
    )
    own: Any = model.pretrained_cfg
    mean, std = own.get("mean", IMAGENET_MEAN), own.get("std", IMAGENET_STD)
    return Backbone(model, mean, std, config.window, config.global_blocks)


def require_fitting(window: int, grid: tuple[int, int]) -> None:
    """Raise ValueError unless windows of that side fill a grid of patches."""
    if grid[0] % window or grid[1] % window:
        fitting = [
            str(side)
            for side in range(4, min(grid) + 1)
            if grid[0] % side == 0 and grid[1] % side == 0
        ]
        raise ValueError(
            f"model.backbone.window={window} does not divide the {grid[0]} x {grid[1]} patches of an image: "
            f"give {', '.join(fitting) or 'another image size'}, or 0 for none"
        )


def _load_file(model: VisionTransformer, path: Path) -> None:
    """Weights of a file into the model; a classifier in the file is left out.

    Not timm's own loading: for a model without a classifier it leaves random what the file lacks, and says nothing.
    """
    state = checkpoint_filter_fn(load_state_dict(str(path), weights_only=True), model)
    missing = model.load_state_dict(state, strict=False).missing_keys
    if missing:
        raise RuntimeError(
            f"the file lacks {len(missing)} parameters of it, {missing[0]} the first"
        )
    odd = [name for name, value in model.state_dict().items() if not value.isfinite().all()]
    if odd:
        raise RuntimeError(f"its {odd[0]} holds NaN or infinity")
