"""What every backbone promises: tokens on a grid, gradients, groups by depth, saved settings."""

from __future__ import annotations

import dataclasses
import json

import pytest
import torch

from omnidet import config, plugins
from omnidet.model.backbone import Backbone
from omnidet.model.backbones.conv_stem_vit import ConvStemVit
from omnidet.model.backbones.timm_features import TimmFeatures
from omnidet.model.backbones.timm_vit import TimmVit
from omnidet.model.config import BACKBONES, ModelConfig

SMALL = {
    "conv_stem_vit": ConvStemVit(width=32, depth=2, num_heads=2),
    "timm_features": TimmFeatures("resnet18", "random", width=32, depth=1, num_heads=2),
    "timm_vit": TimmVit("vit_tiny_patch16_224", "random", drop_path=0.0),
}
"""A small backbone of each kind; add a new kind here."""


@pytest.fixture(params=plugins.names(BACKBONES))
def settings(request):
    return SMALL[request.param]


def _images(side: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, (2, 3, side, side), dtype=torch.uint8, generator=generator)


def test_tokens_on_a_grid_for_any_side(settings):
    backbone = settings.build(64).eval()
    assert isinstance(backbone, Backbone)
    assert backbone.stride == settings.stride
    for side in (64, 96):
        settings.check_side(side)
        with torch.no_grad():
            tokens = backbone(_images(side))
        assert tokens.shape == (2, (side // settings.stride) ** 2, backbone.width)
        assert tokens.isfinite().all()


def test_a_token_lies_where_its_pixels_do(settings):
    torch.manual_seed(0)
    backbone, side = settings.build(64).eval(), settings.stride
    images = _images(64)
    changed = images.clone()
    changed[:, :, side : 2 * side, 3 * side : 4 * side] = 255
    with torch.no_grad():
        change = (backbone(changed) - backbone(images)).abs().sum(2)[0]
    assert 64 // side + 3 in change.topk(2).indices  # convolutions also see some of the neighbours
    assert change[64 // side + 3] > 5 * change.median()


def test_every_parameter_learns_and_is_in_one_group(settings):
    torch.manual_seed(0)
    backbone = settings.build(64).train()
    backbone(_images(64)).square().sum().backward()
    lacking = [n for n, p in backbone.named_parameters() if p.requires_grad and p.grad is None]
    assert lacking == []
    groups = backbone.parameter_groups(0.05, 0.5)
    grouped = [id(p) for group in groups for p in group["params"]]
    assert sorted(grouped) == sorted(id(p) for p in backbone.parameters() if p.requires_grad)
    assert all(0 < group["lr_scale"] <= 1 for group in groups)
    assert {group["weight_decay"] for group in groups} == {0.0, 0.05}


def test_settings_survive_being_described_and_parsed(settings):
    model = ModelConfig(image_size=64, backbone=settings)
    assert config.parse(ModelConfig, json.loads(json.dumps(config.describe(model)))) == model
    assert config.describe(settings)["kind"] == settings.kind
    assert type(plugins.make(BACKBONES, settings.kind)) is type(settings)


def test_weights_survive_being_saved_and_loaded(settings):
    torch.manual_seed(1)
    backbone = settings.build(64).eval()
    other = settings.without_weights().build(64).eval()
    other.load_state_dict(backbone.state_dict())
    with torch.no_grad():
        assert torch.equal(backbone(_images(64)), other(_images(64)))


def test_a_side_that_is_not_a_multiple_of_the_stride_is_refused(settings):
    with pytest.raises(ValueError, match=f"63 .* {settings.size_multiple}"):
        settings.build(63)
    with pytest.raises(ValueError, match="63"):
        dataclasses.replace(ModelConfig(image_size=64, backbone=settings), image_size=63)
