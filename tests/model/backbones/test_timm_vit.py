"""Settings of a transformer from timm, and its families against timm's own forward pass.

The families differ in what stands beside the patches (class, distillation, register tokens or
none), in their positions (learned, rotary, both) and in where the last norm is. They are as wide
and deep here as a toy is.
"""

from __future__ import annotations

import dataclasses
import functools
from typing import Any

import pytest
import timm
import torch
from torch import Tensor, nn

from omnidet.model.backbones.timm_vit import TimmVit

TOY = {"embed_dim": 48, "depth": 3, "num_heads": 2}
NAMES = (
    "vit_small_patch16_224",
    "deit_small_distilled_patch16_224",
    "deit3_small_patch16_224",
    "vit_small_patch14_reg4_dinov2",
    "vit_base_patch16_siglip_224",
    "vit_base_patch16_siglip_gap_224",
    "vit_base_patch16_clip_224",
    "vit_little_patch16_reg4_gap_256",
    "eva02_tiny_patch14_224",
    "vit_small_patch16_dinov3",
    "vit_small_patch16_rope_mixed_ape_224",
    "vit_pe_core_small_patch16_384",
)


@pytest.mark.parametrize(
    ("name", "stride"),
    [
        ("vit_base_patch16_224.augreg2_in21k_ft_in1k", 16),
        ("vit_small_patch14_dinov2", 14),
        ("vit_base_patch8_224", 8),
        ("vit_small_r26_s32_224", 32),
        ("vit_base_resnet50d_224.some_tag", 32),
        ("vit_tiny_r_s16_p8_224.augreg_in21k", 32),
        ("vit_small_resnet50d_s16_224", 16),
        ("some_other_name", 16),
    ],
)
def test_the_stride_is_read_from_the_name(name, stride):
    assert TimmVit(name).stride == stride


@pytest.mark.parametrize(
    ("field", "value"), [("drop_path", 1.0), ("drop_path", -0.1), ("window", -1)]
)
def test_a_wrong_value_is_named(field, value):
    with pytest.raises(ValueError, match=f"model.backbone.{field}={value}: give"):
        dataclasses.replace(TimmVit(), **{field: value})


def test_the_stride_of_a_name_is_that_of_the_model():
    """Patches of 8 x 8 features of a ResNet's first layers, which lie 4 pixels apart."""
    backbone = TimmVit("vit_tiny_r_s16_p8_224", "random").build(64).eval()
    with torch.no_grad():
        assert backbone(_images(96)).shape == (2, 3 * 3, 192)


def test_windows_must_divide_the_patches_of_a_side():
    config = TimmVit(window=7)
    config.check_side(7 * 16 * 3)
    with pytest.raises(ValueError, match=r"window=7 .*20 x 20") as caught:
        config.check_side(320)
    assert "give 4, 5, 10, 20" in str(caught.value)
    TimmVit(window=0).check_side(320)


def test_without_weights_only_the_weights_change():
    config = TimmVit("vit_tiny_patch16_224", "some/file.pth", 0.2, 4, (1,))
    assert config.without_weights() == dataclasses.replace(config, weights="random")


@pytest.fixture(params=NAMES)
def name(request, monkeypatch):
    """A model's name, which stands for a toy of its kind until the test ends."""
    monkeypatch.setattr(timm, "create_model", functools.partial(timm.create_model, **TOY))
    return request.param


def _both(name: str, folder: Any, grid: int, **settings: Any) -> tuple[Any, nn.Module]:
    """The backbone with weights from a file, and timm's model for images of that side alone."""
    torch.manual_seed(0)
    side = grid * TimmVit(name).stride
    own: Any = timm.create_model(name, img_size=side, num_classes=0).eval()
    for parameter in own.parameters():  # layer scales of 1e-5 would hide what the blocks do
        nn.init.normal_(parameter, std=0.3)
    torch.save(own.state_dict(), folder / "weights.pth")
    config = TimmVit(name, str(folder / "weights.pth"), **settings)
    return config.build(side).eval(), own


def _images(side: int) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, (2, 3, side, side), dtype=torch.uint8, generator=generator)


def _normalised(images: Tensor, name: str) -> Tensor:
    cfg = timm.get_pretrained_cfg(name)
    mean, std = (torch.tensor(cfg.__dict__[key]).view(3, 1, 1) for key in ("mean", "std"))
    return (images / 255 - mean) / std


def test_tokens_are_those_of_timm(name, tmp_path):
    backbone, own = _both(name, tmp_path, 4)
    images = _images(4 * backbone.stride)
    with torch.no_grad():
        (last,) = own.forward_intermediates(
            _normalised(images, name), indices=1, norm=True, intermediates_only=True
        )
        expected = own.fc_norm(last.flatten(2).transpose(1, 2))
        torch.testing.assert_close(backbone(images), expected, rtol=1e-4, atol=1e-4)
    assert expected.std() > 0.1


@pytest.mark.parametrize("windows", [{}, {"window": 4, "global_blocks": (2,)}])
def test_early_tokens_are_those_after_half_of_the_blocks(name, windows, tmp_path):
    """The only window of the second case is the whole image."""
    backbone, own = _both(name, tmp_path, 4, **windows)
    images = _images(4 * backbone.stride)
    with torch.no_grad():
        (half,) = own.forward_intermediates(
            _normalised(images, name), indices=[0], norm=True, intermediates_only=True
        )
        expected = own.fc_norm(half.flatten(2).transpose(1, 2))
        tokens, early = backbone(images, early=True)
        torch.testing.assert_close(early, expected, rtol=1e-4, atol=1e-4)
        torch.testing.assert_close(tokens, backbone(images), rtol=1e-4, atol=1e-4)
    assert backbone.gives_early


def test_a_window_is_attention_to_its_own_patches_and_the_tokens_beside_them(name, tmp_path):
    """timm's model with a mask in place of windows, one window at a time."""
    backbone, own = _both(name, tmp_path, 4, window=2, global_blocks=())
    images, prefixes = _images(4 * backbone.stride), own.num_prefix_tokens
    numbers = torch.arange(16).view(2, 2, 2, 2).transpose(1, 2).reshape(4, 4)
    with torch.no_grad():
        tokens = backbone(images)
        for window in numbers:
            seen = torch.zeros(prefixes + 16, dtype=torch.bool)
            seen[:prefixes] = seen[prefixes + window] = True
            whole = own.forward_features(
                _normalised(images, name), attn_mask=seen.expand(len(seen), -1)
            )
            expected = own.fc_norm(whole)[:, prefixes + window]
            torch.testing.assert_close(tokens[:, window], expected, rtol=1e-3, atol=1e-3)


def test_any_side_and_every_parameter_learns(name, tmp_path):
    backbone, _ = _both(name, tmp_path, 4, drop_path=0.0)
    backbone.train()
    images = torch.cat([_images(6 * backbone.stride)] * 2, -1)
    tokens = backbone(images)
    assert tokens.shape == (2, 6 * 12, TOY["embed_dim"])
    tokens.square().sum().backward()
    lacking = [n for n, p in backbone.named_parameters() if p.grad is None]
    assert lacking == []


def test_rates_fall_from_the_last_block_to_all_that_comes_before_the_first(name, tmp_path):
    backbone, _ = _both(name, tmp_path, 4)
    scales = {
        id(p): group["lr_scale"]
        for group in backbone.parameter_groups(0.05, 0.5)
        for p in group["params"]
    }
    for part, parameter in backbone.transformer.named_parameters():
        depth = int(part.split(".")[1]) + 1 if part.startswith("blocks.") else 0
        expected = 1.0 if part.startswith("norm.") else 0.5 ** (TOY["depth"] - depth)
        assert scales[id(parameter)] == pytest.approx(expected), part


def test_positions_and_tokens_beside_the_patches_do_not_decay(name, tmp_path):
    backbone, _ = _both(name, tmp_path, 4)
    groups = backbone.parameter_groups(0.05, 0.5)
    decaying = {id(p) for group in groups if group["weight_decay"] for p in group["params"]}
    own = dict(backbone.transformer.named_parameters())
    beside = own.keys() & {"pos_embed", "cls_token", "dist_token", "reg_token", "rope.freqs"}
    assert beside
    assert not any(id(own[part]) in decaying for part in beside)
    assert id(own["blocks.0.mlp.fc2.weight"]) in decaying


def test_weights_for_another_side_are_resampled(name, tmp_path):
    backbone, _ = _both(name, tmp_path, 4)
    side = 6 * backbone.stride
    config = TimmVit(name, str(tmp_path / "weights.pth"))
    with torch.no_grad():
        larger = config.build(side).eval()(_images(side))
        torch.testing.assert_close(larger, backbone(_images(side)), rtol=1e-3, atol=1e-3)
