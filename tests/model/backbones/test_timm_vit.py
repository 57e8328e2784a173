"""Settings of a transformer from timm."""

from __future__ import annotations

import dataclasses

import pytest

from omnidet.model.backbones.timm_vit import TimmVit


@pytest.mark.parametrize(
    ("name", "stride"),
    [
        ("vit_base_patch16_224.augreg2_in21k_ft_in1k", 16),
        ("vit_small_patch14_dinov2", 14),
        ("vit_base_patch8_224", 8),
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
