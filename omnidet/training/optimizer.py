"""AdamW with layer decay, and a schedule that is a pure function of the step."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn, optim
from torch.distributed.tensor import DTensor

from omnidet.model.detector import Detector
from omnidet.model.heads import TokenTable
from omnidet.training import distributed
from omnidet.training.config import OptimizerConfig


def build(model: nn.Module, config: OptimizerConfig) -> optim.AdamW:
    """The optimizer for a detector.

    Norms and biases do not decay, and neither do token embeddings: a rare token would fade between
    the texts that contain it.
    """
    detector = getattr(model, "module", model)
    assert isinstance(detector, Detector)
    groups = detector.backbone.parameter_groups(config.weight_decay, config.layer_decay)
    head = list(detector.head.parameters())
    groups.append({"params": [p for p in head if p.ndim > 1], "weight_decay": config.weight_decay})
    groups.append({"params": [p for p in head if p.ndim <= 1], "weight_decay": 0.0})
    groups.append({"params": list(detector.tokens.parameters()), "weight_decay": 0.0})
    for group in groups:
        group["scale"] = group.pop("lr_scale", 1.0)
    first = next(detector.parameters())
    fused = config.fused and (first.is_cuda or not isinstance(first, DTensor))
    optimizer = optim.AdamW(groups, lr=config.learning_rate, betas=(0.9, config.beta2), fused=fused)
    if config.new_token_rate != 1 and len(detector.tokens.new_rows):
        _lengthen_steps(optimizer, detector.tokens, config.new_token_rate)
    return optimizer


def _lengthen_steps(optimizer: optim.Optimizer, tokens: TokenTable, factor: float) -> None:
    """Move new rows `factor` times as far as AdamW does, as if their learning rate were higher."""
    tables = [tokens.embeddings, tokens.biases]
    rows = [distributed.own_rows(tokens.new_rows, table) for table in tables]
    before: list[Tensor] = []

    def remember(*_: object) -> None:
        before[:] = [
            distributed.own_part(table.detach())[own]
            for table, own in zip(tables, rows, strict=True)
        ]

    def lengthen(*_: object) -> None:
        for table, own, start in zip(tables, rows, before, strict=True):
            part = distributed.own_part(table.detach())
            part[own] = torch.lerp(start, part[own], factor)

    optimizer.register_step_pre_hook(remember)
    optimizer.register_step_post_hook(lengthen)


def clear_gradients(optimizer: optim.Optimizer, detector: Detector, num_ranks: int = 1) -> None:
    """Clear gradients for the next backward; one rank reuses memory, DDP has buffers of its own."""
    if num_ranks == 1:
        detector.tokens.reuse_gradient()
    optimizer.zero_grad()


def can_skip(optimizer: optim.Optimizer) -> bool:
    """Whether the optimizer itself skips a step if `found_inf` is set: nothing waits for a GPU."""
    first = optimizer.param_groups[0]["params"][0]
    is_fused = bool(optimizer.defaults.get("fused"))
    return is_fused and first.is_cuda and not isinstance(first, DTensor)


def set_learning_rate(
    optimizer: optim.Optimizer, config: OptimizerConfig, step: int, last_step: int
) -> float:
    """Set the rate of step `step` (from 0) in every group and return it."""
    rate = config.learning_rate * schedule(step, config.warmup_steps, last_step)
    for group in optimizer.param_groups:
        group["lr"] = rate * group["scale"]
    return rate


def schedule(step: int, warmup_steps: int, last_step: int) -> float:
    """Share of the full learning rate: linear warm-up, then half a cosine down to 0.

    Half of a short run is not warmed up: else it would end before the rate was reached or fell.
    """
    warmup_steps = min(warmup_steps, (last_step + 1) // 2)
    if step < warmup_steps:
        return (step + 1) / warmup_steps
    return 0.5 * (1 + math.cos(math.pi * (step - warmup_steps) / max(last_step - warmup_steps, 1)))
