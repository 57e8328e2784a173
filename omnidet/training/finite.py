"""A loss or gradient that is not finite stops the run before the weights are touched, and is named.

On the CPU it is looked at where it arises. A GPU would have to be waited for: there the fused optimizer itself leaves the
weights alone where the gradient norm is not finite, and the numbers are looked at one step later, when they have arrived.
"""

from __future__ import annotations

import torch
from torch import Tensor, optim

from omnidet.training.objective import Parts


class Later:
    """A small tensor on its way to the host; to read it waits for it alone, not for what was queued behind it."""

    def __init__(self, value: Tensor) -> None:
        self._arrived: torch.cuda.Event | None = None
        self._host = value.detach()
        if value.is_cuda:
            self._host = torch.empty(value.shape, dtype=value.dtype, pin_memory=True).copy_(
                value.detach(), non_blocking=True
            )
            self._arrived = torch.cuda.Event()  # type: ignore[no-untyped-call]
            self._arrived.record()

    def read(self) -> Tensor:
        """On the CPU."""
        if self._arrived:
            self._arrived.synchronize()
        return self._host


class FiniteGuard:
    """Looks at each step's loss and gradient norm."""

    def __init__(self, optimizer: optim.Optimizer, is_late: bool) -> None:
        """Args:
        is_late: look one step later; needs a fused optimizer.
        """
        self.optimizer, self.is_late = optimizer, is_late
        self._pending: tuple[int, Parts, Later] | None = None

    def loss(self, step: int, loss: Tensor, parts: Parts) -> None:
        """Raises FloatingPointError that names step and term."""
        if not self.is_late and not torch.isfinite(loss):
            raise _error(step, parts, parts.means_KS)

    def gradient(self, step: int, loss: Tensor, parts: Parts, norm: Tensor) -> None:
        """The same of the gradient; call it right before the update."""
        if not self.is_late:
            if not torch.isfinite(norm):
                raise _error(step, parts, parts.means_KS)
            return
        self.settle()
        usable = torch.isfinite(norm) & torch.isfinite(loss.detach())
        # What a gradient scaler tells the fused kernel: do nothing in this step.
        self.optimizer.found_inf = (~usable).float()  # type: ignore[attr-defined]
        self._pending = (
            step,
            parts,
            Later(torch.cat([usable.float().reshape(1), parts.means_KS.flatten()])),
        )

    def settle(self) -> None:
        """Look at what is pending: before a checkpoint, and at the end."""
        pending, self._pending = self._pending, None
        if pending:
            step, parts, later = pending
            seen = later.read()
            if not seen[0]:
                raise _error(step, parts, seen[1:].reshape(parts.means_KS.shape))


def _error(step: int, parts: Parts, means_KS: Tensor) -> FloatingPointError:
    bad = [
        name
        for names, means in zip(parts.names_KS, means_KS.tolist(), strict=True)
        for name, mean in zip(names, means, strict=True)
        if not abs(mean) < float("inf")
    ]
    what = ", ".join(bad) or "gradient norm"
    return FloatingPointError(
        f"step {step}: {what} is not finite: the weights are untouched; lower the learning rate"
    )
