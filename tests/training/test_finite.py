"""A number that is not finite: even if it is seen one step later, the weights do not change."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from omnidet.training.finite import FiniteGuard
from omnidet.training.objective import Parts


def _parts(value: float) -> Parts:
    return Parts((("det/names", "grd/names"),), torch.tensor([[1.0, value]]), torch.ones(1, 2))


@pytest.mark.parametrize("norm", [torch.nan, torch.inf])
@pytest.mark.parametrize("value", [2.0, torch.nan])
def test_seen_one_step_later_the_weights_do_not_change(norm, value):
    """The fused optimizer, which also exists for the CPU, skips the step by itself."""
    weight = nn.Parameter(torch.ones(3))
    adamw = torch.optim.AdamW([weight], lr=0.1, fused=True)
    guard = FiniteGuard(adamw, is_late=True)

    def step(number: int, parts: Parts, loss: float, gradient: float) -> None:
        weight.grad = torch.full((3,), gradient)
        guard.loss(number, torch.tensor(loss), parts)
        guard.gradient(number, torch.tensor(loss), parts, weight.grad.norm())
        adamw.step()

    step(0, _parts(2.0), 3.0, 1.0)
    after_one = weight.detach().clone()
    assert not torch.equal(after_one, torch.ones(3))
    step(1, _parts(value), 3.0, norm)  # nothing is raised yet
    assert torch.equal(weight, after_one)
    named = "grd/names" if value != 2.0 else "gradient norm"
    with pytest.raises(FloatingPointError, match=f"step 1: {named} is not finite"):
        step(2, _parts(2.0), 3.0, 1.0)
    assert torch.equal(weight, after_one)


def test_what_is_pending_is_checked_before_a_checkpoint():
    weight = nn.Parameter(torch.ones(3))
    guard = FiniteGuard(torch.optim.AdamW([weight], fused=True), is_late=True)
    guard.gradient(4, torch.tensor(1.0), _parts(2.0), torch.tensor(torch.inf))
    with pytest.raises(FloatingPointError, match="step 4: gradient norm"):
        guard.settle()
    guard.settle()


def test_on_the_cpu_the_check_is_at_once():
    guard = FiniteGuard(torch.optim.AdamW([nn.Parameter(torch.ones(3))]), is_late=False)
    with pytest.raises(FloatingPointError, match="step 2: grd/names is not finite"):
        guard.loss(2, torch.tensor(torch.nan), _parts(torch.nan))
    with pytest.raises(FloatingPointError, match="step 2: gradient norm is not finite"):
        guard.gradient(2, torch.tensor(1.0), _parts(1.0), torch.tensor(torch.nan))
