"""Frozen batch norms folded into the convolutions before them."""

from __future__ import annotations

import copy

import pytest
import timm
import torch
from torch import Tensor, nn

from omnidet.model.folding import fold_batch_norms


def _network(name: str) -> nn.Module:
    """With statistics that are no longer those of a new batch norm."""
    torch.manual_seed(0)
    network = timm.create_model(name, num_classes=0)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            for tensor in (module.running_mean, module.bias.data):
                tensor.normal_(0, 0.3)
            for tensor in (module.running_var, module.weight.data):
                tensor.uniform_(0.5, 2.0)
            module.requires_grad_(False)
    return network.eval().double()  # so that only rounding is forgiven


def _step(network: nn.Module) -> tuple[Tensor, dict[str, Tensor]]:
    generator = torch.Generator().manual_seed(1)
    images = torch.randn(2, 3, 64, 96, dtype=torch.float64, generator=generator)
    features = network.forward_features(images)
    features.square().mean().backward()
    return features.detach(), {
        n: p.grad for n, p in network.named_parameters() if p.grad is not None
    }


@pytest.mark.parametrize("name", ["tf_efficientnet_lite0", "resnet18", "mobilenetv3_small_050"])
def test_features_and_gradients_are_those_of_the_network(name):
    plain = _network(name)
    folded = copy.deepcopy(plain)
    norms = sum(isinstance(module, nn.BatchNorm2d) for module in plain.modules())
    assert fold_batch_norms(folded, 64) == norms
    (features, gradients), (same_features, same_gradients) = _step(plain), _step(folded)
    torch.testing.assert_close(same_features, features)
    assert gradients.keys() == same_gradients.keys()
    for key, gradient in gradients.items():
        scale = float(gradient.abs().max())
        torch.testing.assert_close(same_gradients[key], gradient, rtol=1e-6, atol=1e-9 * scale)


def test_norms_cost_no_pass_over_the_activations():
    network = _network("resnet18")
    fold_batch_norms(network, 64)
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as profile:
        _step(network)
    assert not [event for event in profile.key_averages() if "batch_norm" in event.key]


def test_state_and_copies_are_as_without():
    plain = _network("resnet18")
    folded = copy.deepcopy(plain)
    fold_batch_norms(folded, 64)
    assert list(folded.state_dict()) == list(plain.state_dict())
    copied = copy.deepcopy(folded)
    with torch.no_grad():
        copied.conv1.weight.zero_()  # reads its own weights, not those of the original
    images = torch.randn(1, 3, 64, 64, dtype=torch.float64)
    assert not torch.allclose(copied.forward_features(images), folded.forward_features(images))
    torch.testing.assert_close(plain.forward_features(images), folded.forward_features(images))


def test_a_network_that_reads_an_output_twice_stays_as_it_was():
    class Twice(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.convolution, self.norm = nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4)
            nn.init.uniform_(self.norm.running_var, 2, 3)

        def forward_features(self, images: Tensor) -> Tensor:
            here = self.convolution(images)
            return self.norm(here) + here

    network = Twice()
    images = torch.randn(1, 3, 16, 16)
    before = network.eval().forward_features(images)
    assert fold_batch_norms(network, 16) == 0
    assert torch.equal(network.forward_features(images), before)
