"""Settings of the small transformer behind a convolutional stem."""

from __future__ import annotations

import dataclasses

import pytest

from omnidet.model.backbones.conv_stem_vit import ConvStemVit
from omnidet.model.vit import ConvolutionalStem


@pytest.mark.parametrize(
    ("field", "value"),
    [("depth", 0), ("num_heads", 0), ("width", 4), ("drop_path", 1.0), ("drop_path", -0.1)],
)
def test_a_wrong_value_is_named(field, value):
    with pytest.raises(ValueError, match=f"model.backbone.{field}={value}: give"):
        dataclasses.replace(ConvStemVit(), **{field: value})


def test_heads_must_divide_the_width():
    with pytest.raises(ValueError, match=r"width=32 .*num_heads=3"):
        ConvStemVit(32, 2, 3).build(64)


def test_the_settings_are_what_is_built():
    backbone = ConvStemVit(width=32, depth=3, num_heads=2, drop_path=0.3).build(64)
    assert isinstance(backbone.transformer.patch_embed, ConvolutionalStem)
    assert (backbone.width, backbone.stride) == (32, 16)
    blocks = backbone.transformer.blocks
    assert len(blocks) == 3
    assert blocks[0].attn.num_heads == 2
    shares = [getattr(block.drop_path1, "drop_prob", 0.0) for block in blocks]
    assert shares == pytest.approx([0.0, 0.15, 0.3])
    assert ConvStemVit().without_weights() == ConvStemVit()
