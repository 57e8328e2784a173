"""What vision transformer backbones share: timm's models, windows and a convolutional stem."""

from __future__ import annotations

import itertools
from typing import Any

import torch
from timm.layers import build_sincos2d_pos_embed  # type: ignore[attr-defined]
from timm.layers.pos_embed_sincos import RotaryEmbeddingDinoV3
from timm.models.eva import Eva
from timm.models.vision_transformer import VisionTransformer
from timm.optim import param_groups_layer_decay  # type: ignore[attr-defined]
from torch import Tensor, nn

from omnidet.config import require
from omnidet.model import weights as pretrained_weights
from omnidet.model.backbone import Backbone

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
POSITION_SCALE = 1.0
"""Amplitude of the sines and cosines that a new small model's position embeddings begin as."""
Transformer = VisionTransformer | Eva
"""timm's classes that take images of any size: `Eva` has the models with rotary positions (EVA-02,
DINOv3, Perception Encoder)."""


class VitBackbone(Backbone):
    """A timm vision transformer without its head."""

    def __init__(
        self,
        transformer: Transformer,
        mean: tuple[float, ...],
        std: tuple[float, ...],
        window: int = 0,
        global_blocks: tuple[int, ...] = (),
    ) -> None:
        """`window` and `global_blocks` are those of `backbones/timm_vit.py`."""
        super().__init__(transformer.embed_dim, _patch(transformer), mean, std)
        self.transformer = transformer
        self.window, self.global_blocks = window, global_blocks
        self.undecayed: frozenset[str] = frozenset()
        self.early_depth = len(transformer.blocks) // 2
        self.gives_early = self.early_depth > 0
        # torch.export keeps the grid of its example in these positions.
        rotary = getattr(transformer, "rope", None)
        self.exports_any_side = not isinstance(rotary, RotaryEmbeddingDinoV3)

    def forward(self, images_BCHW: Tensor, early: bool = False) -> Any:
        """Images (B, 3, H, W) -> patch tokens (B, H/stride * W/stride, width), row by row.

        Position embeddings are resampled for sizes other than the one they were made for.

        Args:
            early: give the tokens after half of the blocks as well; the last norm is theirs, too.

        Raises ValueError if the windows do not fill the image.
        """
        normal_BCHW = self.normalised(images_BCHW)
        prefixes = self.transformer.num_prefix_tokens
        if self.window:
            tokens, before = self._in_windows(normal_BCHW, self.grid(images_BCHW))
            before = self.transformer.norm(before)[:, prefixes:] if early else before
        elif early:
            both: Any = self.transformer.forward_intermediates(
                normal_BCHW, indices=[self.early_depth - 1], norm=True, output_fmt="NLC"
            )
            tokens, (before,) = both
        else:
            tokens = self.transformer.forward_features(normal_BCHW)
        return (tokens[:, prefixes:], before) if early else tokens[:, prefixes:]

    def parameter_groups(self, weight_decay: float, layer_decay: float) -> list[dict[str, Any]]:
        """timm's groups: what has one dimension does not decay, and in timm's own models neither do
        position embeddings and class and register tokens."""
        groups: list[dict[str, Any]] = param_groups_layer_decay(
            self.transformer, weight_decay, self.undecayed, layer_decay=layer_decay
        )
        return groups

    def _in_windows(self, normal_BCHW: Tensor, grid: tuple[int, int]) -> tuple[Tensor, Tensor]:
        """timm's `forward_features`, with attention inside windows in all but the global blocks,
        and the tokens after half of the blocks.

        A class token goes into every window; what comes out is the mean over the windows.
        """
        _require_windows(self.window, grid)
        steps = self.transformer
        # Private, but timm has no public call that adds positions, class and register tokens in the
        # order of each model, which differs between models.
        placed = steps._pos_embed(steps.patch_embed(normal_BCHW))
        tokens, rotary = placed if isinstance(steps, Eva) else (steps.patch_drop(placed), None)
        tokens = steps.norm_pre(tokens)
        inside, batch, before = False, normal_BCHW.shape[0], tokens
        for number, block in enumerate(steps.blocks):
            if number == self.early_depth:
                before = self._join(tokens, batch, grid) if inside else tokens
            if (number not in self.global_blocks) != inside:
                tokens = self._join(tokens, batch, grid) if inside else self._split(tokens, grid)
                inside = not inside
            if rotary is None:
                tokens = block(tokens)
                continue
            own = rotary[number] if steps.rope_mixed else rotary
            tokens = block(tokens, rope=self._rotary_windows(own, batch, grid) if inside else own)
        whole: Tensor = steps.norm(self._join(tokens, batch, grid) if inside else tokens)
        return whole, before

    def _windows(self, patches_BNW: Tensor, grid: tuple[int, int]) -> Tensor:
        """(B, rows * columns, W) -> (B, windows, window * window, W)."""
        (rows, columns), side = grid, self.window
        batch, _, width = patches_BNW.shape
        windows = patches_BNW.reshape(
            batch, rows // side, side, columns // side, side, width
        ).transpose(2, 3)
        number = rows // side * (columns // side)  # not -1: an exported model could not infer it
        return windows.reshape(batch, number, side * side, width)

    def _rotary_windows(self, rotary: Tensor, batch: int, grid: tuple[int, int]) -> Tensor:
        """A block's rotary positions (N, R) or (heads, N, R) for the tokens of `_split`.

        A token keeps its place in the whole image: what a class token reads from a patch depends on
        it, although among the patches of a window only differences count.
        """
        heads_HNR = rotary if rotary.ndim == 3 else rotary[None]
        return self._windows(heads_HNR, grid).transpose(0, 1).repeat(batch, 1, 1, 1)

    def _split(self, tokens_BNW: Tensor, grid: tuple[int, int]) -> Tensor:
        """An image's tokens -> its windows' tokens, each window as an image of its own."""
        prefixes = self.transformer.num_prefix_tokens
        windows = self._windows(tokens_BNW[:, prefixes:], grid)
        repeated = tokens_BNW[:, None, :prefixes].expand(-1, windows.shape[1], -1, -1)
        return torch.cat([repeated, windows], 2).flatten(0, 1)

    def _join(self, tokens_KNW: Tensor, batch: int, grid: tuple[int, int]) -> Tensor:
        """The reverse of `_split`."""
        (rows, columns), side, prefixes = grid, self.window, self.transformer.num_prefix_tokens
        number = rows // side * (columns // side)
        whole = tokens_KNW.reshape(batch, number, *tokens_KNW.shape[1:])
        prefix, windows = whole[:, :, :prefixes].mean(1), whole[:, :, prefixes:]
        patches = windows.reshape(
            batch, rows // side, columns // side, side, side, whole.shape[-1]
        ).transpose(2, 3)
        return torch.cat([prefix, patches.flatten(1, 4)], 1)


class ConvolutionalStem(nn.Module):
    """Four stride-2 3x3 convolutions in place of a 16x16 patch embedding."""

    def __init__(
        self, img_size: int, patch_size: int, in_chans: int, embed_dim: int, **_unused: object
    ) -> None:
        """Take what timm passes to a patch embedding."""
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
        """Features (B, H/16, W/16, width): timm's form for models that take any image size."""
        features: Tensor = self.layers(images_BCHW)
        return features.permute(0, 2, 3, 1)

    def feat_ratio(self, as_scalar: bool = True) -> int | tuple[int, int]:
        """Pixels per token; timm asks its patch embeddings for this."""
        return self.patch_size[0] if as_scalar else self.patch_size


def behind_stem(
    image_size: int, *, width: int, depth: int, num_heads: int, drop_path: float
) -> VitBackbone:
    """A transformer with random weights behind a convolutional stem of stride 16.

    Its position embeddings are learned, and begin as sines and cosines of the place (as in MAE, He
    et al., arXiv 2111.06377) that are as large as what the stem gives. Small random ones grow so
    slowly that regions hardly know where they are when training ends, and learn neither "left of"
    nor whose box a neighbour is (docs/decisions/0022-where-things-are.md).
    """
    _require_multiple(image_size, 16)
    transformer = VisionTransformer(
        img_size=image_size,
        embed_layer=ConvolutionalStem,
        embed_dim=width,
        depth=depth,
        num_heads=num_heads,
        drop_path_rate=drop_path,
        num_classes=0,
        class_token=False,
        dynamic_img_size=True,
        global_pool="avg",
        fc_norm=False,
    )
    side, whole = image_size // 16, width // 4 * 4  # sine and cosine for each of x and y
    places_QW = build_sincos2d_pos_embed([side, side], whole)
    assert transformer.pos_embed is not None
    with torch.no_grad():
        transformer.pos_embed[0, :, :whole] = POSITION_SCALE * places_QW
    return VitBackbone(transformer, (0.5, 0.5, 0.5), (0.25, 0.25, 0.25))


def from_timm(
    name: str, weights: str, image_size: int, *, patch: int, drop_path: float
) -> tuple[Transformer, str]:
    """A vision transformer from timm with the weights named: `pretrained`, `random` or a file.

    The second value is the SHA-256 of that file, if there is one.

    Raises ValueError or FileNotFoundError if they are missing or do not fit.
    """
    options: dict[str, Any] = {"num_classes": 0, "drop_path_rate": drop_path}
    try:
        model, sha256 = pretrained_weights.create(
            name, weights, img_size=image_size, dynamic_img_size=True, **options
        )
    except pretrained_weights.UnknownOptionError as error:
        raise ValueError(
            f"backbone {name!r} is not a vision transformer that takes images of any size: "
            "give model.backbone=timm_features for it, or name another model"
        ) from error
    # Hierarchical networks of timm take the same options.
    if not isinstance(model, Transformer) or _patch(model) != patch:
        raise ValueError(
            f"backbone {name!r} is not a vision transformer with {patch}x{patch} patches: "
            "give model.backbone=timm_features for it, or name another model"
        )
    return model, sha256


def pretrained(
    model: Transformer,
    window: int = 0,
    global_blocks: tuple[int, ...] = (),
    weights_sha256: str = "",
) -> VitBackbone:
    """A backbone from a timm model, with the normalisation that its weights were trained with.

    Raises ValueError for a global block that the model does not have.
    """
    depth = len(model.blocks)
    beyond = [number for number in global_blocks if not 0 <= number < depth] if window else []
    require(
        not beyond,
        f"model.backbone.global_blocks={list(global_blocks)}: give numbers from 0 to {depth - 1}",
    )
    own: Any = model.pretrained_cfg
    mean, std = own.get("mean", IMAGENET_MEAN), own.get("std", IMAGENET_STD)
    _keep_tokens_alone(model)
    backbone = VitBackbone(model, mean, std, window, global_blocks)
    backbone.weights_sha256 = weights_sha256
    backbone.undecayed = frozenset(model.no_weight_decay())
    return backbone


def _patch(model: Transformer) -> int:
    """Side of a patch in pixels, with the convolutions before it."""
    ratio = model.patch_embed.feat_ratio()
    assert isinstance(ratio, int)
    return ratio


def _keep_tokens_alone(model: Any) -> None:
    """Remove what makes one vector of an image (SigLIP's attention pooling).

    A model that was trained with the mean over its tokens has its last norm behind that mean
    (EVA-02, `gap`). It becomes the norm of the tokens, which have no common scale without one.
    """
    if isinstance(model.norm, nn.Identity):
        model.norm = model.fc_norm
    model.fc_norm, model.attn_pool = nn.Identity(), None
    model.group_matcher = _by_depth


def _by_depth(**_unused: object) -> dict[str, Any]:
    """timm's layers by depth, with all that comes before the first block in the lowest.

    timm itself counts register tokens and a norm before the blocks among the last layer.
    """
    return {
        "stem": r"^(?:cls_token|dist_token|reg_token|pos_embed|patch_embed|norm_pre|rope)",
        "blocks": [(r"^blocks\.(\d+)", None), (r"^norm\.", (99999,))],
    }


def _require_multiple(image_size: int, stride: int) -> None:
    if image_size % stride:
        raise ValueError(f"image_size={image_size} is not a multiple of the patch size {stride}")


def _require_windows(window: int, grid: tuple[int, int]) -> None:
    if grid[0] % window or grid[1] % window:
        raise ValueError(
            f"model.backbone.window={window} does not divide the {grid[0]} x {grid[1]} patches "
            "of an image: give a side that divides both, another image size, or 0 for none"
        )
