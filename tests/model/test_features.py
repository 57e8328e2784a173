"""The module behind a network's stages: which are used, how they are joined, what is frozen."""

from __future__ import annotations

import dataclasses
import functools

import pytest
import timm
import torch
from torch import Tensor, nn

from omnidet.model.backbones.timm_features import TimmFeatures
from omnidet.model.features import FeatureBackbone


def _build(depth: int = 0, **settings: object) -> FeatureBackbone:
    torch.manual_seed(0)
    config = TimmFeatures("resnet18", "random", width=32, num_heads=2, depth=depth, **settings)
    return config.build(64)


def _images() -> Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, (2, 3, 64, 64), dtype=torch.uint8, generator=generator)


def test_tokens_are_the_sum_of_the_stages_on_the_grid():
    backbone = _build(from_strides=(32, 16)).eval()
    with torch.no_grad():
        stages = backbone.network.forward_intermediates(
            backbone.normalised(_images()), indices=backbone.indices, intermediates_only=True
        )
        assert [stage.shape[-1] for stage in stages] == [4, 2]  # strides 16 and 32 of 64 pixels
        fine, coarse = (layer(x) for layer, x in zip(backbone.lateral, stages, strict=True))
        coarse = nn.functional.interpolate(coarse, (4, 4), mode="bilinear")
        expected = backbone.norm((fine + coarse).flatten(2).transpose(1, 2))
        torch.testing.assert_close(backbone(_images()), expected)


def test_only_with_blocks_does_a_token_know_its_place():
    flat = torch.full((1, 3, 128, 128), 90, dtype=torch.uint8)
    differences = []
    for depth in (0, 1):
        with torch.no_grad():
            tokens = _build(depth, from_strides=(8,), stride=8).eval()(flat)[0]
        middle = tokens.unflatten(0, (16, 16))[7:9, 7:9].flatten(0, 1)  # these see no padding
        differences.append((middle - middle[0]).abs().max())
    assert differences[0] < 1e-4
    assert differences[1] > 1e-2


@pytest.mark.parametrize("frozen", [True, False])
def test_batch_norms_are_frozen_if_asked(frozen):
    backbone = _build(frozen_norms=frozen).train()
    norms = [module for module in backbone.network.modules() if isinstance(module, nn.BatchNorm2d)]
    assert norms
    assert {module.training for module in norms} == {not frozen}
    assert {p.requires_grad for module in norms for p in module.parameters()} == {not frozen}


def test_stages_that_are_not_used_are_removed():
    small, large = _build(from_strides=(8,), stride=8), _build(from_strides=(8, 32), stride=8)
    count = [sum(p.numel() for p in b.network.parameters()) for b in (small, large)]
    assert count[0] < 0.2 * count[1]


def test_a_stride_that_the_network_does_not_have_is_refused():
    config = TimmFeatures("levit_128s", "random", from_strides=(8,), stride=8)
    with pytest.raises(ValueError, match=r"from_strides=\[8\].*levit_128s.* 16, 32"):
        config.build(224)


def test_early_tokens_are_those_before_the_blocks():
    backbone = _build(1).eval()
    with torch.no_grad():
        tokens, early = backbone(_images(), early=True)
        torch.testing.assert_close(tokens, backbone(_images()))
        torch.testing.assert_close(backbone.final_norm(backbone.blocks[0](early)), tokens)
    assert backbone.gives_early
    assert not _build(0).gives_early


def test_a_network_of_one_stride_is_used_up_to_its_last_block(monkeypatch):
    toy = functools.partial(timm.create_model, embed_dim=48, depth=3, num_heads=2)
    monkeypatch.setattr(timm, "create_model", toy)
    config = TimmFeatures("beit_base_patch16_224", "random", width=32, num_heads=2)
    with pytest.raises(ValueError, match=r"\[16, 32\].*no stage with stride 32: give some of 16$"):
        config.build(64)
    backbone = dataclasses.replace(config, from_strides=(16,)).build(64).eval()
    assert len(backbone.network.blocks) == 3
    assert backbone(_images()).shape == (2, 16, 32)


@pytest.mark.parametrize(
    ("name", "remedy"),
    [
        ("vit_small_patch14_dinov2", "model.backbone=timm_vit"),
        ("convmixer_768_32", "another model"),
    ],
)
def test_a_network_without_a_usable_stride_is_refused(name, remedy):
    with pytest.raises(ValueError, match=f"'{name}' has no stage with .*{remedy}"):
        TimmFeatures(name, "random").build(224)


@pytest.mark.parametrize(("name", "takes"), [("levit_128s", 128), ("repvit_m0_9", None)])
def test_only_some_networks_that_ask_for_a_side_take_no_other(name, takes):
    assert TimmFeatures(name, "random", depth=0).build(128).fixed_side == takes


def test_a_side_that_a_network_cannot_take_is_refused_with_one_that_it_does():
    config = TimmFeatures("efficientformer_l1", "random", depth=0)
    with pytest.raises(ValueError, match=r"'efficientformer_l1' does not take .* 64 px.*=224"):
        config.build(64)


def test_parts_that_no_token_depends_on_are_frozen():
    """HRNet's last stage mixes four strides, and two of them are used."""
    config = TimmFeatures("hrnet_w18_small", "random", width=32, num_heads=2, depth=0)
    backbone = config.build(64).train()
    backbone.freeze_idle()
    assert backbone.training
    backbone(_images()).square().sum().backward()
    learns = {n: p.requires_grad for n, p in backbone.network.named_parameters()}
    got = {n: p.grad is not None for n, p in backbone.network.named_parameters()}
    assert learns == got
    assert not learns["stage4.0.fuse_layers.0.1.0.weight"]
    assert learns["stage4.0.fuse_layers.2.3.0.weight"]
