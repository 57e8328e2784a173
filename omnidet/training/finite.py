"""A loss or gradient that is not finite stops the run before the weights change, and is named.

On the CPU it is checked at once. On a GPU that would mean waiting, so the fused optimizer itself
skips the update if the gradient norm is not finite, and the numbers are checked one step later,
when they have arrived.
"""

from __future__ import annotations

import torch
from torch import Tensor, optim

from omnidet.training.objective import Parts


class Later:
    """A small tensor on its way to the host. Reading it does not wait for work queued after it."""

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
        """The tensor on the CPU."""
        if self._arrived:
            self._arrived.synchronize()
        return self._host


class FiniteGuard:
    """Checks each step's loss and gradient norm."""

    def __init__(self, optimizer: optim.Optimizer, is_late: bool) -> None:
        """Guard the updates of an optimizer.

        Args:
            is_late: check one step later; this needs a fused optimizer.
        """
        self.optimizer, self.is_late = optimizer, is_late
        self._pending: tuple[int, Parts, Later] | None = None

    def loss(self, step: int, loss: Tensor, parts: Parts) -> None:
        """Check a loss. Raises FloatingPointError, which names the step and the term."""
        if not self.is_late and not torch.isfinite(loss):
            raise _error(step, parts, parts.means_KS)

    def gradient(self, step: int, loss: Tensor, parts: Parts, norm: Tensor) -> None:
        """Check a gradient norm; call this right before the update."""
        if not self.is_late:
            if not torch.isfinite(norm):
                raise _error(step, parts, parts.means_KS)
            return
        self.settle()
        usable = torch.isfinite(norm) & torch.isfinite(loss.detach())
        # A gradient scaler tells the fused kernel in this way to skip the step.
        self.optimizer.found_inf = (~usable).float()  # type: ignore[attr-defined]
        self._pending = (
            step,
            parts,
            Later(torch.cat([usable.float().reshape(1), parts.means_KS.flatten()])),
        )

    def settle(self) -> None:
        """Check what is pending: before a checkpoint, and at the end."""
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
        f"step {step}: {what} is not finite, and the weights are unchanged: lower the learning rate"
    )
