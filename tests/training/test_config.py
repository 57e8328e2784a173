"""Settings of training: wrong values are refused by name, with what would be right."""

from __future__ import annotations

import dataclasses
import math

import pytest

from omnidet.training.config import MAX_SEED, OptimizerConfig, TrainConfig, WeightedLoss


@pytest.mark.parametrize(
    ("field", "value", "remedy"),
    [
        ("steps", 0, "1 or more"),
        ("checkpoint_every", 0, "1 or more"),
        ("keep_checkpoints", 0, "1 or more"),
        ("pictures_every", -1, "0 or more"),
        ("keep_checkpoint_every", -1, "0 or more"),
        ("seed", MAX_SEED + 1, f"{MAX_SEED} or less"),
        ("average_decay", 1.0, "a share below 1"),
        ("precision", "'half'", "auto, bfloat16, float32"),
        ("parallel", "'tensor'", "ddp or fsdp2"),
    ],
)
def test_a_wrong_setting_of_training_is_named(field, value, remedy):
    given = value.strip("'") if isinstance(value, str) else value
    with pytest.raises(ValueError, match=f"train.{field}={value}") as caught:
        dataclasses.replace(TrainConfig(steps=10), **{field: given})
    assert remedy in str(caught.value)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("learning_rate", 0.0),
        ("learning_rate", math.nan),
        ("layer_decay", -1.0),
        ("new_token_rate", math.inf),
        ("weight_decay", -0.1),
        ("warmup_steps", -1),
        ("beta2", 1.0),
    ],
)
def test_a_wrong_setting_of_the_optimizer_is_named(field, value):
    with pytest.raises(ValueError, match=f"train.optimizer.{field}={value}: give"):
        OptimizerConfig(**{field: value})


@pytest.mark.parametrize("weight", [-1.0, math.inf, math.nan])
def test_a_loss_needs_a_weight_that_counts(weight):
    with pytest.raises(ValueError, match=f"losses.names.weight={weight}"):
        WeightedLoss("names", weight)
    assert WeightedLoss("names", 0.0).weight == 0
