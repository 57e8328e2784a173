"""Backbones: shapes, pixels, and pretrained weights that are used or refused."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import timm
import torch
from safetensors.torch import save_file

from omnidet.model import vit
from omnidet.model.vit import PretrainedConfig, StemConfig

TINY = "vit_tiny_patch16_224"


def _weights(size: int = 64) -> dict[str, torch.Tensor]:
    torch.manual_seed(1)
    return timm.create_model(TINY, img_size=size).state_dict()


def _refused(name: str, weights: object) -> str:
    with pytest.raises(ValueError, match="cannot take the weights") as caught:
        vit.build(PretrainedConfig(name, str(weights)), 64)
    assert "\n" not in str(caught.value)
    assert str(weights) in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("config", [StemConfig(32, 2, 2), PretrainedConfig(TINY, "random")])
def test_one_token_a_patch_row_by_row(config):
    torch.manual_seed(0)
    backbone = vit.build(config, 64).eval()
    images = torch.randint(0, 256, (1, 3, 64, 64), dtype=torch.uint8)
    changed = images.clone()
    changed[:, :, 16:32, 48:64] = 255  # patch in row 1, column 3: number 7
    with torch.no_grad():
        tokens = [backbone(pixels) for pixels in (images, changed)]
    assert tokens[0].shape == (1, 16, backbone.width)
    assert tokens[0].isfinite().all()
    change = (tokens[1] - tokens[0]).abs().sum(2)[0]
    assert change[7] > 5 * change.median()
    assert 7 in change.topk(2).indices  # the stem's convolutions see a little of the neighbours


def test_pixels_are_normalised_to_about_unit_scale():
    backbone = vit.build(PretrainedConfig(TINY, "random"), 64)
    normal = (torch.tensor([0.0, 255.0]).view(2, 1, 1, 1) - backbone.mean) / backbone.std
    torch.testing.assert_close(normal[:, 0, 0, 0], torch.tensor([-1.0, 1.0]), atol=1.3, rtol=0)
    assert "mean" not in backbone.state_dict()


@pytest.mark.parametrize("size", [63, 100])
def test_image_size_that_is_no_multiple_of_the_patch(size):
    with pytest.raises(ValueError, match=f"image_size={size} is not a multiple of the patch size 16"):
        vit.build(StemConfig(32, 2, 2), size)


def test_weights_of_a_file_are_used(tmp_path):
    state = _weights()
    save_file(state, tmp_path / "weights.safetensors")
    torch.manual_seed(2)
    backbone = vit.build(PretrainedConfig(TINY, str(tmp_path / "weights.safetensors")), 64)
    own = backbone.transformer.state_dict()
    assert own
    for name, tensor in own.items():
        assert torch.equal(tensor, state[name]), name


def test_weights_of_another_image_size_keep_all_but_the_resampled_positions(tmp_path):
    state = _weights(96)
    torch.save(state, tmp_path / "weights.pth")
    own = vit.build(PretrainedConfig(TINY, str(tmp_path / "weights.pth")), 64).transformer.state_dict()
    assert own["pos_embed"].shape == (1, 17, 192)
    assert own["pos_embed"].std() < 2 * state["pos_embed"].std()
    assert all(torch.equal(tensor, state[name]) for name, tensor in own.items() if name != "pos_embed")


def test_a_weights_file_that_is_missing():
    with pytest.raises(FileNotFoundError, match=re.escape("nowhere/weights.pth do not exist: give a file")):
        vit.build(PretrainedConfig(TINY, "nowhere/weights.pth"), 64)


def test_weights_of_another_width_are_refused(tmp_path):
    wrong = timm.create_model(TINY, img_size=64, embed_dim=96).state_dict()
    torch.save(wrong, tmp_path / "weights.pth")
    assert "Error(s) in loading" in _refused(TINY, tmp_path / "weights.pth")


@pytest.mark.parametrize("gone", ["norm.weight", "blocks.11.mlp.fc2.weight"])
def test_weights_that_lack_a_part_are_refused(tmp_path, gone):
    state = _weights()
    del state[gone]
    save_file(state, tmp_path / "weights.safetensors")
    assert f"lacks 1 parameters of it, {gone}" in _refused(TINY, tmp_path / "weights.safetensors")


@pytest.mark.parametrize("name", ["weights.pth", "weights.safetensors"])
@pytest.mark.parametrize("content", [b"", b"no weights at all"])
def test_a_file_of_something_else_is_refused(tmp_path, name, content):
    Path(tmp_path / name).write_bytes(content)
    _refused(TINY, tmp_path / name)


def test_names_of_no_use_are_refused():
    _refused("no_such_model", "random")
    with pytest.raises(ValueError, match=r"'resnet18' is not a vision transformer with 16x16 patches|'resnet18' cannot take"):
        vit.build(PretrainedConfig("resnet18", "random"), 64)
    with pytest.raises(ValueError, match=r"'vit_tiny_patch16_224' cannot take the weights|do not exist"):
        vit.build(PretrainedConfig(TINY, ""), 64)
