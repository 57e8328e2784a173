"""The module behind `backbones/timm_features.py`.

images -> network -> stages of some strides -> projected to one width, resampled to one grid, summed
       -> position embeddings -> transformer blocks -> tokens
"""

from __future__ import annotations

import contextlib
import itertools
from typing import TYPE_CHECKING, Any

import torch
from timm.layers import build_sincos2d_pos_embed  # type: ignore[attr-defined]
from timm.models import group_parameters
from timm.models.vision_transformer import Block
from timm.optim import param_groups_layer_decay  # type: ignore[attr-defined]
from torch import Tensor, nn
from torch.nn import functional

from omnidet.model import folding, weights
from omnidet.model.backbone import Backbone
from omnidet.model.backbones.timm_features import STRIDES

if TYPE_CHECKING:
    from omnidet.model.backbones.timm_features import TimmFeatures

_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)


class FeatureBackbone(Backbone):
    """Stages of a timm network on one grid, followed by transformer blocks."""

    def __init__(self, config: TimmFeatures, image_size: int) -> None:
        network, sha256, fixed_side = _network(config, image_size)
        own: Any = network.pretrained_cfg
        super().__init__(config.width, config.stride, own["mean"], own["std"])
        self.config, self.weights_sha256, self.fixed_side = config, sha256, fixed_side
        # Swin and its like fill up windows by the image's side: with that, torch.export never ends.
        in_windows = any(hasattr(module, "window_size") for module in network.modules())
        self.exports_any_side = fixed_side is None and not in_windows
        self.indices, channels = _stages(network, config)
        network.prune_intermediate_layers(self.indices, prune_norm=True, prune_head=True)
        # On a CPU a step takes three quarters of the time that way; the images come so already.
        self.network = network.to(memory_format=torch.channels_last)
        if config.frozen_norms:
            folding.fold_batch_norms(self.network, fixed_side or image_size)
        self.lateral = nn.ModuleList(nn.Conv2d(count, config.width, 1) for count in channels)
        self.norm = nn.LayerNorm(config.width)
        rates = torch.linspace(0, config.drop_path, config.depth).tolist()
        self.blocks = nn.ModuleList(
            Block(config.width, config.num_heads, qkv_bias=True, drop_path=rate) for rate in rates
        )
        self.final_norm = nn.LayerNorm(config.width) if config.depth else nn.Identity()
        self.gives_early = config.depth > 0
        self._side = fixed_side or image_size
        self._freeze()

    def forward(self, images_BCHW: Tensor, early: bool = False) -> Any:
        """Images (B, 3, H, W) -> tokens (B, H/stride * W/stride, width), row by row.

        Args:
            early: give the tokens before the blocks as well, in which a region does not know about
                others.
        """
        rows, columns = self.grid(images_BCHW)
        side = self.fixed_side
        if side and images_BCHW.shape[-2:] != (side, side):
            raise ValueError(
                f"backbone {self.config.name!r} takes images of {side} px only: give the streams "
                "no image_size of their own, or name another model"
            )
        stages = self.network.forward_intermediates(
            self.normalised(images_BCHW), indices=self.indices, intermediates_only=True
        )
        summed: Tensor | None = None
        for lateral, stage_BCHW in zip(self.lateral, stages, strict=True):
            here = lateral(stage_BCHW)
            if here.shape[-2:] != (rows, columns):
                here = functional.interpolate(here, (rows, columns), mode="bilinear")
            summed = here if summed is None else summed + here
        assert summed is not None
        tokens_BQW: Tensor = self.norm(summed.flatten(2).transpose(1, 2))
        if not self.config.depth:
            return tokens_BQW
        places_QW = build_sincos2d_pos_embed(
            [rows, columns], dim=self.width, device=tokens_BQW.device, dtype=tokens_BQW.dtype
        )
        tokens_BQW = early_BQW = tokens_BQW + places_QW
        for block in self.blocks:
            tokens_BQW = block(tokens_BQW)
        out: Tensor = self.final_norm(tokens_BQW)
        return (out, early_BQW) if early else out

    def train(self, mode: bool = True) -> FeatureBackbone:
        """Set the mode of all modules except frozen batch norms, which stay in inference mode."""
        super().train(mode)
        if self.config.frozen_norms:
            for module in self.network.modules():
                if isinstance(module, _NORMS):
                    module.eval()
        return self

    def parameter_groups(self, weight_decay: float, layer_decay: float) -> list[dict[str, Any]]:
        """The network's layers by depth, at `network_rate`, and the new layers at the full rate."""
        groups: list[dict[str, Any]] = param_groups_layer_decay(
            self.network, weight_decay, layer_decay=layer_decay
        )
        for group in groups:
            group["lr_scale"] = group.get("lr_scale", 1.0) * self.config.network_rate
        new = [p for name, p in self.named_parameters() if not name.startswith("network.")]
        groups.append({"params": [p for p in new if p.ndim > 1], "weight_decay": weight_decay})
        groups.append({"params": [p for p in new if p.ndim <= 1], "weight_decay": 0.0})
        return [{"lr_scale": 1.0, **group} for group in groups if group["params"]]

    def _freeze(self) -> None:
        if self.config.frozen_norms:
            for module in self.network.modules():
                if isinstance(module, _NORMS):
                    module.requires_grad_(False)
        if self.config.frozen_layers:
            layers: dict[int, list[str]] = group_parameters(
                self.network, self.network.group_matcher(coarse=False)
            )
            lowest = sorted(layers)[: self.config.frozen_layers]
            names = set(itertools.chain.from_iterable(layers[number] for number in lowest))
            for name, parameter in self.network.named_parameters():
                if name in names:
                    parameter.requires_grad_(False)

    def freeze_idle(self) -> None:
        """Freeze what no token depends on: parts of the last stage of HRNet."""
        training, device = self.training, self.mean.device
        images = torch.zeros(1, 3, self._side, self._side, dtype=torch.uint8, device=device)
        with torch.enable_grad():
            tokens = self.eval()(images)
        self.train(training)
        used = _leaves(tokens)
        for parameter in self.network.parameters():
            if id(parameter) not in used:
                parameter.requires_grad_(False)


def _leaves(tensor: Tensor) -> set[int]:
    """Ids of the parameters that a tensor was computed from and that have a gradient."""
    found: set[int] = set()
    seen: set[Any] = set()
    left: list[Any] = [tensor.grad_fn]
    while left:
        node = left.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        if hasattr(node, "variable"):
            found.add(id(node.variable))
        left += [before for before, _ in node.next_functions]
    return found


def _network(config: TimmFeatures, image_size: int) -> tuple[Any, str, int | None]:
    """The timm model with its weights, and the side of its images if that is fixed."""
    network, sha256, knows_side = _created(config, image_size)
    if not hasattr(network, "forward_intermediates") or not hasattr(network, "feature_info"):
        raise ValueError(
            f"backbone {config.name!r} does not give features by stage: name another model"
        )
    if not _takes(network, image_size):
        own: Any = network.pretrained_cfg
        fitting = -(-own["input_size"][-1] // config.size_multiple) * config.size_multiple
        raise ValueError(
            f"backbone {config.name!r} does not take images of {image_size} px: "
            f"give model.image_size={fitting}, or name another model"
        )
    is_fixed = knows_side and not _takes(network, image_size + config.size_multiple)
    return network, sha256, image_size if is_fixed else None


def _created(config: TimmFeatures, image_size: int) -> tuple[Any, str, bool]:
    """The timm model, the hash of its weights, and whether it was made for a side of images."""
    choices: tuple[dict[str, Any], ...] = (
        {"img_size": image_size, "strict_img_size": False},  # Swin's windows
        {"img_size": image_size},  # Hiera's positions
    )
    for options in choices:
        with contextlib.suppress(weights.UnknownOptionError):
            return *weights.create(config.name, config.weights, **options), True
    return *weights.create(config.name, config.weights), False


@torch.no_grad()
def _takes(network: Any, side: int) -> bool:
    """Whether a network takes square images of a side in pixels: timm does not say it of all."""
    training = network.training
    try:
        network.eval().forward_features(torch.zeros(1, 3, side, side))
    except (RuntimeError, AssertionError, ValueError, IndexError):
        return False
    finally:
        network.train(training)
    return True


def _stages(network: Any, config: TimmFeatures) -> tuple[list[int], list[int]]:
    """Numbers of the network's stages with the strides asked for, and their channels."""
    known = [int(stage["reduction"]) for stage in network.feature_info]
    lacking = [stride for stride in config.from_strides if stride not in known]
    if lacking:
        usable = sorted({*known} & {*STRIDES})
        remedy = f"give some of {', '.join(map(str, usable))}" if usable else "name another model"
        if hasattr(network, "dynamic_img_size"):  # timm's plain transformers alone have it
            remedy = "give model.backbone=timm_vit"
        raise ValueError(
            f"model.backbone.from_strides={list(config.from_strides)}: {config.name!r} has no "
            f"stage with stride {lacking[0]}: {remedy}"
        )
    # The last stage of a stride, as transformers have it in every block.
    indices = [len(known) - 1 - known[::-1].index(s) for s in sorted(config.from_strides)]
    return indices, [int(network.feature_info[i]["num_chs"]) for i in indices]
