"""Parameter groups, the schedule, and the longer steps of new tokens."""

from __future__ import annotations

import math

import pytest
import torch

from omnidet.model.backbones.timm_vit import TimmVit
from omnidet.model.config import ModelConfig
from omnidet.model.detector import Detector
from omnidet.training import optimizer
from omnidet.training.config import OptimizerConfig
from omnidet.training.optimizer import schedule
from tests import toys


def test_schedule_values():
    assert schedule(0, 10, 110) == pytest.approx(0.1)
    assert schedule(4, 10, 110) == pytest.approx(0.5)
    assert schedule(9, 10, 110) == pytest.approx(1.0)
    assert schedule(10, 10, 110) == pytest.approx(1.0)
    assert schedule(35, 10, 110) == pytest.approx(0.5 * (1 + math.cos(math.pi / 4)))
    assert schedule(60, 10, 110) == pytest.approx(0.5)
    assert schedule(110, 10, 110) == pytest.approx(0.0)
    assert schedule(0, 0, 1) == pytest.approx(1.0)
    assert schedule(0, 0, 0) == pytest.approx(1.0)  # no division by zero


def test_every_parameter_is_in_exactly_one_group():
    for detector in (
        toys.toy_detector(),
        Detector(
            ModelConfig(64, TimmVit("vit_tiny_patch16_224", "random"), 8),
            toys.toy_vocabulary().num_tokens,
        ),
    ):
        built = optimizer.build(detector, OptimizerConfig(layer_decay=0.7))
        grouped = [id(p) for group in built.param_groups for p in group["params"]]
        assert len(grouped) == len(set(grouped))
        assert set(grouped) == {id(p) for p in detector.parameters()}


def _group_of(built: torch.optim.Optimizer, parameter: torch.Tensor) -> dict[str, object]:
    (found,) = [
        group for group in built.param_groups if any(p is parameter for p in group["params"])
    ]
    return found


def test_weights_decay_and_norms_biases_and_tokens_do_not():
    detector = toys.toy_detector()
    built = optimizer.build(detector, OptimizerConfig(weight_decay=0.05))
    blocks = detector.backbone.transformer.blocks
    decays = {
        detector.head.embedding.weight: 0.05,
        blocks[0].mlp.fc1.weight: 0.05,
        detector.head.embedding.bias: 0.0,
        detector.head.norm.weight: 0.0,
        blocks[0].norm1.weight: 0.0,
        blocks[0].mlp.fc1.bias: 0.0,
        detector.tokens.embeddings: 0.0,
        detector.tokens.biases: 0.0,
    }
    for parameter, decay in decays.items():
        assert _group_of(built, parameter)["weight_decay"] == decay


def test_lower_layers_learn_more_slowly_by_the_factor():
    detector = toys.toy_detector()
    config = OptimizerConfig(learning_rate=1.0, layer_decay=0.5, warmup_steps=0)
    built = optimizer.build(detector, config)
    assert optimizer.set_learning_rate(built, config, 0, 100) == 1.0
    transformer = detector.backbone.transformer

    def rate(parameter: torch.Tensor) -> float:
        return _group_of(built, parameter)["lr"]

    top = rate(transformer.blocks[1].mlp.fc1.weight)
    assert rate(transformer.blocks[0].mlp.fc1.weight) == pytest.approx(top / 2)
    assert rate(transformer.pos_embed) == pytest.approx(top / 4)
    assert rate(transformer.norm.weight) == pytest.approx(1.0)
    assert rate(detector.head.embedding.weight) == 1.0
    assert rate(detector.tokens.embeddings) == 1.0


def test_the_rate_is_a_function_of_the_step_alone():
    config = OptimizerConfig(learning_rate=0.2, warmup_steps=10)
    built = optimizer.build(toys.toy_detector(), config)
    for step in (60, 3, 60, 0):
        assert optimizer.set_learning_rate(built, config, step, 110) == pytest.approx(
            0.2 * schedule(step, 10, 110)
        )
        assert {group["lr"] for group in built.param_groups} == {0.2 * schedule(step, 10, 110)}


def test_a_short_run_reaches_its_rate_and_ends_at_none():
    rates = [schedule(step, 30, 19) for step in range(20)]
    assert max(rates) == pytest.approx(1)
    assert rates[-1] < 0.05
    assert schedule(5, 30, 59) == pytest.approx(6 / 30)  # half of the steps is enough


def test_new_tokens_move_further_in_each_step_and_the_others_as_before():
    plain, faster = toys.toy_detector(), toys.toy_detector()
    faster.load_state_dict(plain.state_dict())
    first = {name: value.clone() for name, value in plain.state_dict().items()}
    new = [1, 4]
    faster.tokens.new_rows = torch.tensor(new)
    for detector in (plain, faster):
        built = optimizer.build(detector, OptimizerConfig(learning_rate=0.01, new_token_rate=7))
        torch.manual_seed(0)
        for parameter in detector.parameters():
            parameter.grad = torch.randn_like(parameter)
        built.step()
    for name, value in faster.state_dict().items():
        gone, plainly = value - first[name], plain.state_dict()[name] - first[name]
        if name.startswith("tokens."):
            plainly[new] *= 7
            assert gone[new].abs().max() > 0.05
        torch.testing.assert_close(gone, plainly, atol=1e-6, rtol=1e-4)
