"""Vision transformers: shapes, pixels, windows, and weights that are used or refused."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import timm
import torch
from safetensors.torch import save_file
from timm.layers import resample_abs_pos_embed

from omnidet.model import vit
from omnidet.model.backbones.conv_stem_vit import ConvStemVit
from omnidet.model.backbones.timm_vit import TimmVit

TINY = "vit_tiny_patch16_224"


def _weights(size: int = 64) -> dict[str, torch.Tensor]:
    torch.manual_seed(1)
    return timm.create_model(TINY, img_size=size).state_dict()


def _refused(name: str, weights: object) -> str:
    with pytest.raises(ValueError, match="cannot take the weights") as caught:
        TimmVit(name, str(weights)).build(64)
    assert "\n" not in str(caught.value)
    assert str(weights) in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("config", [ConvStemVit(32, 2, 2), TimmVit(TINY, "random")])
def test_one_token_a_patch_row_by_row(config):
    torch.manual_seed(0)
    backbone = config.build(64).eval()
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
    backbone = TimmVit(TINY, "random").build(64)
    normal = (torch.tensor([0.0, 255.0]).view(2, 1, 1, 1) - backbone.mean) / backbone.std
    torch.testing.assert_close(normal[:, 0, 0, 0], torch.tensor([-1.0, 1.0]), atol=1.3, rtol=0)
    assert "mean" not in backbone.state_dict()


@pytest.mark.parametrize("size", [63, 100])
def test_an_image_size_that_is_not_a_multiple_of_the_patch_is_refused(size):
    with pytest.raises(ValueError, match=f"image_size={size} .* 16"):
        ConvStemVit(32, 2, 2).build(size)


def _windowed(window: int, *global_blocks: int) -> vit.Backbone:
    torch.manual_seed(0)
    return TimmVit(TINY, "random", window=window, global_blocks=global_blocks).build(64).eval()


def test_a_patch_reaches_the_others_of_its_window_and_no_further():
    """Until a global block comes."""
    images = torch.randint(0, 256, (2, 3, 64, 64), dtype=torch.uint8)
    changed = images.clone()
    changed[0, :, 16:32, 32:48] = 255  # patch in row 1, column 2: in the upper right window
    inside = _windowed(2)
    inside.transformer.cls_token = None  # its mean would carry something from window to window
    inside.transformer.num_prefix_tokens = 0
    inside.transformer.no_embed_class = True
    inside.transformer.pos_embed.data = inside.transformer.pos_embed.data[:, 1:]
    with torch.no_grad():
        reached = (inside(changed) - inside(images)).abs().sum(2)
    assert reached[1].max() == 0
    assert reached[0].nonzero().flatten().tolist() == [2, 3, 6, 7]
    mixed = _windowed(2, 11)
    with torch.no_grad():
        assert ((mixed(changed) - mixed(images)).abs().sum(2)[0] > 0).all()


def test_one_window_over_the_whole_image_changes_nothing():
    images = torch.randint(0, 256, (2, 3, 64, 64), dtype=torch.uint8)
    with torch.no_grad():
        torch.testing.assert_close(
            _windowed(4, 5)(images), _windowed(0)(images), atol=1e-5, rtol=1e-5
        )


def test_windows_that_do_not_fill_the_image_are_refused():
    with pytest.raises(ValueError, match=r"window=3 .*4 x 4"):
        _windowed(3)
    images = torch.zeros(1, 3, 96, 96, dtype=torch.uint8)
    with pytest.raises(ValueError, match=r"window=4 .* 6 x 6 patches"), torch.no_grad():
        _windowed(4)(images)


@pytest.mark.parametrize("config", [ConvStemVit(32, 2, 2), TimmVit(TINY, "random")])
def test_another_image_size_takes_resampled_positions(config):
    backbone = config.build(64).eval()
    with torch.no_grad():
        empty = torch.zeros(2, 3, 96, 96, dtype=torch.uint8)
        assert backbone(empty).shape == (2, 36, backbone.width)
        larger = config.build(96).eval()
        state = backbone.transformer.state_dict()
        prefixes = backbone.transformer.num_prefix_tokens
        state["pos_embed"] = resample_abs_pos_embed(
            state["pos_embed"], [6, 6], [4, 4], num_prefix_tokens=prefixes
        )
        larger.transformer.load_state_dict(state)
        images = torch.randint(0, 256, (1, 3, 96, 96), dtype=torch.uint8)
        torch.testing.assert_close(backbone(images), larger(images))


@pytest.mark.parametrize("width", [192, 66], ids=["a multiple of 4", "none"])
def test_a_new_small_transformer_knows_where_its_patches_are(width):
    torch.manual_seed(0)
    backbone = vit.behind_stem(128, width=width, depth=1, num_heads=3, drop_path=0.0)
    places_QW = backbone.transformer.pos_embed[0].detach()
    with torch.no_grad():
        stem_BQW = backbone.transformer.patch_embed(torch.randn(16, 3, 128, 128)).flatten(1, 2)
    assert 0.3 < places_QW[:, : width // 4 * 4].std() / stem_BQW.std() < 3
    # A linear map of the tokens, as the head is, tells a patch's column in images of other content.
    seen_NW, new_NW = (
        torch.cat([part.flatten(0, 1), torch.ones(8 * 64, 1)], 1)
        for part in (stem_BQW + places_QW).split(8)
    )
    column_N1 = (torch.arange(64) % 8 - 3.5).repeat(8)[:, None]
    ridge_WW = seen_NW.T @ seen_NW + torch.eye(width + 1)
    told_N1 = new_NW @ torch.linalg.solve(ridge_WW, seen_NW.T @ column_N1)
    assert (told_N1 - column_N1).square().mean() < 0.1 * column_N1.square().mean()


def test_weights_in_a_file_are_used(tmp_path):
    state = _weights()
    save_file(state, tmp_path / "weights.safetensors")
    torch.manual_seed(2)
    backbone = TimmVit(TINY, str(tmp_path / "weights.safetensors")).build(64)
    own = backbone.transformer.state_dict()
    assert own
    for name, tensor in own.items():
        assert torch.equal(tensor, state[name]), name


def test_of_weights_for_another_image_size_only_the_positions_are_resampled(tmp_path):
    state = _weights(96)
    torch.save(state, tmp_path / "weights.pth")
    own = TimmVit(TINY, str(tmp_path / "weights.pth")).build(64).transformer.state_dict()
    assert own["pos_embed"].shape == (1, 17, 192)
    assert own["pos_embed"].std() < 2 * state["pos_embed"].std()
    assert all(
        torch.equal(tensor, state[name]) for name, tensor in own.items() if name != "pos_embed"
    )


def test_a_missing_weights_file_is_refused():
    with pytest.raises(FileNotFoundError, match=re.escape("nowhere/weights.pth")):
        TimmVit(TINY, "nowhere/weights.pth").build(64)


def test_weights_of_another_width_are_refused(tmp_path):
    wrong = timm.create_model(TINY, img_size=64, embed_dim=96).state_dict()
    torch.save(wrong, tmp_path / "weights.pth")
    assert "Error(s) in loading" in _refused(TINY, tmp_path / "weights.pth")


@pytest.mark.parametrize("gone", ["norm.weight", "blocks.11.mlp.fc2.weight"])
def test_weights_that_lack_a_parameter_are_refused(tmp_path, gone):
    state = _weights()
    del state[gone]
    save_file(state, tmp_path / "weights.safetensors")
    reason = _refused(TINY, tmp_path / "weights.safetensors")
    assert "lacks 1 of its parameters" in reason
    assert gone in reason


@pytest.mark.parametrize("content", [[1, 2], torch.zeros(3), {"model": 5}])
def test_a_pickle_of_something_else_is_refused(tmp_path, content):
    torch.save(content, tmp_path / "weights.pth")
    assert "holds no weights" in _refused(TINY, tmp_path / "weights.pth")


def test_weights_with_nan_are_refused(tmp_path):
    state = _weights()
    state["norm.weight"][3] = torch.nan
    torch.save(state, tmp_path / "weights.pth")
    assert "norm.weight holds NaN" in _refused(TINY, tmp_path / "weights.pth")


def test_a_global_block_that_the_model_does_not_have_is_refused():
    for blocks in ([99], [2, -1]):
        config = TimmVit(TINY, "random", window=2, global_blocks=tuple(blocks))
        with pytest.raises(ValueError, match=r"global_blocks=\[.*\]: give .* 0 to 11"):
            config.build(64)


@pytest.mark.parametrize("name", ["weights.pth", "weights.safetensors"])
@pytest.mark.parametrize("content", [b"", b"no weights at all"])
def test_a_file_without_weights_is_refused(tmp_path, name, content):
    Path(tmp_path / name).write_bytes(content)
    _refused(TINY, tmp_path / name)


def test_names_that_do_not_fit_are_refused():
    _refused("no_such_model", "random")
    with pytest.raises(ValueError, match="'resnet18'"):
        TimmVit("resnet18", "random").build(64)
    with pytest.raises((ValueError, FileNotFoundError), match=f"'{TINY}'|do not exist"):
        TimmVit(TINY, "").build(64)
