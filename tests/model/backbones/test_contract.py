"""What every backbone promises: tokens on a grid, gradients, groups by depth, saved settings,
training that goes on as if it had not stopped, an export that takes other sides."""

from __future__ import annotations

import dataclasses
import functools
import json
import re
from pathlib import Path
from typing import Any

import pytest
import timm
import torch
from safetensors.torch import load_file

from omnidet import config, plugins
from omnidet.export import graph
from omnidet.model.backbone import Backbone
from omnidet.model.backbones.conv_stem_vit import ConvStemVit
from omnidet.model.backbones.timm_features import TimmFeatures
from omnidet.model.backbones.timm_vit import TimmVit
from omnidet.model.config import BACKBONES, BackboneConfig, ModelConfig
from omnidet.training import checkpoint
from tests import toy_runs, toys

PLAIN: dict[str, Any] = {"embed_dim": 32, "depth": 2, "num_heads": 2}
SWIN: dict[str, Any] = {"embed_dim": 16, "depths": (1, 1, 1, 1), "num_heads": (1, 1, 2, 2)}
CONVNEXT: dict[str, Any] = {"depths": (1, 1, 1, 1), "dims": (8, 16, 24, 32)}
BEHIND: dict[str, Any] = {"weights": "random", "width": 32, "depth": 1, "num_heads": 2}
SMALL: dict[str, tuple[BackboneConfig, dict[str, Any]]] = {
    "conv_stem_vit": (ConvStemVit(width=32, depth=2, num_heads=2), {}),
    "timm_features": (TimmFeatures("resnet18", **BEHIND), {}),
    "timm_features, running norms": (TimmFeatures("resnet18", frozen_norms=False, **BEHIND), {}),
    "timm_features, Swin": (TimmFeatures("swin_tiny_patch4_window7_224", **BEHIND), SWIN),
    "timm_features, ConvNeXt": (TimmFeatures("convnext_atto", **BEHIND), CONVNEXT),
    "timm_vit": (TimmVit("vit_tiny_patch16_224", "random", drop_path=0.0), PLAIN),
    "timm_vit, rotary in windows": (
        TimmVit("vit_small_patch16_dinov3", "random", 0.0, window=2, global_blocks=(1,)),
        PLAIN,
    ),
    "timm_vit, rotary and learned": (TimmVit("eva02_base_patch16_clip_224", "random", 0.0), PLAIN),
}
"""Small backbones of each kind, and what makes timm's model that small; add a new kind here."""


@pytest.fixture(params=SMALL)
def settings(request, monkeypatch):
    own, options = SMALL[request.param]
    monkeypatch.setattr(timm, "create_model", functools.partial(timm.create_model, **options))
    return own


def test_every_kind_is_tried():
    assert {own.kind for own, _ in SMALL.values()} == set(plugins.names(BACKBONES))


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


@pytest.fixture(scope="module")
def index(tmp_path_factory):
    return toys.write_shards(tmp_path_factory.mktemp("shards"))


def _trained(folder: Path) -> dict[str, torch.Tensor]:
    newest = checkpoint.latest(folder / "checkpoints")
    assert newest is not None
    return load_file(Path(newest) / "model.safetensors")


def test_training_goes_on_as_if_it_had_not_stopped(settings, index, tmp_path):
    def stop(_term: object) -> None:
        raise KeyboardInterrupt

    model = dataclasses.replace(toys.MODEL, backbone=settings)
    train = dataclasses.replace(toy_runs.TRAIN, steps=3, checkpoint_every=1)
    toy_runs.train(index, tmp_path / "whole", train=train, model=model)
    stopping = (*toys.LOSSES[:-1], toy_runs.at_call(toys.LOSSES[-1], 2, stop))
    with pytest.raises(KeyboardInterrupt):
        toy_runs.train(index, tmp_path / "run", stopping, train, model=model)
    toy_runs.train(index, tmp_path / "run", train=train, model=model)
    whole, run = _trained(tmp_path / "whole"), _trained(tmp_path / "run")
    assert whole.keys() == run.keys()
    assert [name for name in whole if not torch.equal(whole[name], run[name])] == []


def test_an_exported_detector_takes_other_sides_or_says_that_it_does_not(settings):
    detector = toys.toy_detector(model=dataclasses.replace(toys.MODEL, backbone=settings))
    own, any_side = graph.AnyWords(detector), detector.backbone.exports_any_side
    assert any_side == (not re.search("swin|dinov3", getattr(settings, "name", "")))
    example = (128, 192) if any_side else (64, 64)
    exported = graph.program(own, example, any_size=any_side).module()
    words = torch.randn(2, 16), torch.zeros(2)
    # 64 has its own positions, a shorter way.
    for rows, columns in ((96, 96), (192, 96)) if any_side else ((64, 64),):
        draw = torch.Generator().manual_seed(0)
        images = torch.randint(0, 256, (3, 3, rows, columns), dtype=torch.uint8, generator=draw)
        with torch.no_grad():
            for made, expected in zip(exported(images, *words), own(images, *words), strict=True):
                torch.testing.assert_close(made, expected, rtol=1e-3, atol=1e-4)
