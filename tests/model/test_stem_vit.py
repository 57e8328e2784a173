"""The written-out transformer beside timm's with the same stem."""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch
from timm.models.vision_transformer import VisionTransformer
from torch import nn

from omnidet.model.stem_vit import ConvolutionalStem, StemVit

SETTINGS = {"width": 32, "depth": 3, "num_heads": 2}


class TimmStem(ConvolutionalStem):
    """The stem as timm makes and asks its patch embeddings."""

    def __init__(self, img_size, patch_size, embed_dim, **_unused):
        super().__init__(embed_dim)
        self.grid_size = (img_size // patch_size,) * 2
        self.num_patches = self.grid_size[0] ** 2
        self.patch_size = (patch_size, patch_size)


def _both(drop_path=0.0):
    torch.manual_seed(3)
    own = StemVit(64, **SETTINGS, drop_path=drop_path)
    after = torch.rand(1)
    torch.manual_seed(3)
    timm = VisionTransformer(
        img_size=64,
        embed_layer=TimmStem,
        embed_dim=32,
        depth=3,
        num_heads=2,
        drop_path_rate=drop_path,
        num_classes=0,
        class_token=False,
        dynamic_img_size=True,
        global_pool="avg",
        fc_norm=False,
    )
    assert torch.equal(after, torch.rand(1))  # as many random numbers were drawn
    return own, timm


def _pixels(height=64, width=64):
    draw = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, (4, 3, height, width), dtype=torch.uint8, generator=draw)


def test_names_order_and_first_weights_are_those_of_timm():
    own, timm = _both()
    wanted, found = timm.state_dict(), own.transformer.state_dict()
    assert list(found) == list(wanted)
    assert [n for n, _ in own.transformer.named_parameters()] == [
        n for n, _ in timm.named_parameters()
    ]
    for name, tensor in wanted.items():
        assert torch.equal(found[name], tensor), name


@pytest.mark.parametrize("size", [(64, 64), (96, 48), (32, 128)])
def test_tokens_and_gradients_are_those_of_timm(size):
    own, timm = _both()
    for module in (own.transformer, timm):
        torch.manual_seed(5)
        for parameter in module.parameters():
            nn.init.normal_(parameter, std=0.2)
    images = _pixels(*size)
    wanted = timm.forward_features(own.normalised(images))
    found = own(images)
    torch.testing.assert_close(found, wanted)
    found.square().sum().backward()
    wanted.square().sum().backward()
    for (name, one), other in zip(
        own.transformer.named_parameters(), timm.parameters(), strict=True
    ):
        torch.testing.assert_close(one.grad, other.grad, msg=name, rtol=1e-3, atol=1e-3)


def test_blocks_are_dropped_in_training_as_timm_does():
    own, timm = _both(drop_path=0.6)
    images = _pixels()
    own.train()
    timm.train()
    torch.manual_seed(7)
    found = own(images)
    torch.manual_seed(7)
    torch.testing.assert_close(found, timm.forward_features(own.normalised(images)))
    assert not torch.allclose(found, own.eval()(images))


@pytest.mark.parametrize("layer_decay", [1.0, 0.7])
def test_the_optimizer_gets_the_groups_of_timm(layer_decay):
    from timm.optim import param_groups_layer_decay

    own, timm = _both()
    found = own.parameter_groups(0.05, layer_decay)
    wanted = param_groups_layer_decay(timm, 0.05, layer_decay=layer_decay)
    assert len(found) == len(wanted)
    for one, other in zip(found, wanted, strict=True):
        assert [p.shape for p in one["params"]] == [p.shape for p in other["params"]]
        assert (one["weight_decay"], one["lr_scale"]) == (
            other["weight_decay"],
            other["lr_scale"],
        )


def test_a_process_that_builds_one_imports_neither_timm_nor_torchvision():
    code = (
        "import sys; from omnidet.model.backbones.conv_stem_vit import ConvStemVit; "
        "ConvStemVit(32, 1, 2).build(32); "
        "print({'timm', 'torchvision', 'torch._dynamo'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
