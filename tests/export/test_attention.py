from __future__ import annotations

import pytest
import torch
from timm.layers import Attention
from torch import nn

from omnidet.export.attention import AttentionInThree, in_three
from tests import toys

TOKENS = torch.randn(2, 5, 24, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"qkv_bias": True},
        {"qkv_bias": True, "qk_norm": True, "norm_layer": nn.LayerNorm},
        {"scale_norm": True, "norm_layer": nn.LayerNorm},
    ],
)
@torch.no_grad()
def test_the_same_numbers_with_the_same_weights(options):
    attention = Attention(24, num_heads=3, **options).eval()
    for parameter in attention.parameters():
        nn.init.normal_(parameter)
    three = AttentionInThree(attention)
    torch.testing.assert_close(three(TOKENS), attention(TOKENS), atol=1e-4, rtol=1e-4)
    assert three.value.weight.data_ptr() == attention.qkv.weight[48:].data_ptr()


def test_a_detector_is_changed_only_meanwhile():
    detector = toys.toy_detector()
    before = [type(module) for module in detector.modules()]
    depth = before.count(Attention)
    with in_three(detector) as number:
        assert number == depth > 0
        kinds = [type(module) for module in detector.modules()]
        assert (kinds.count(AttentionInThree), kinds.count(Attention)) == (depth, 0)
    assert [type(module) for module in detector.modules()] == before

    with pytest.raises(TypeError), in_three(detector):
        detector(None, "no such argument")
    assert [type(module) for module in detector.modules()] == before


def test_other_attention_stays_and_a_mask_is_refused():
    class Own(Attention):
        pass

    parts = nn.ModuleList([Own(24, 3), Attention(24, 3, gated=True)])
    with in_three(parts) as number:
        assert number == 0
    with pytest.raises(ValueError, match="attn_mask"):
        AttentionInThree(Attention(24, 3))(TOKENS, attn_mask=torch.ones(5, 5))
