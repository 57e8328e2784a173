"""The moving average of the weights, which is what is evaluated."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from omnidet.training import distributed


class Average:
    """Follows a model step by step: slowly in a long run, faster over its first steps, so that short runs average too."""

    def __init__(self, model: nn.Module, decay: float) -> None:
        self.decay, self.num_updates = decay, 0
        self.tensors = {
            name: tensor.detach().clone() for name, tensor in model.state_dict().items()
        }

    @torch.no_grad()
    def update(self, model: nn.Module) -> None:
        """Take in the weights of now; the first ones are copied. No rank talks to another, and nothing waits for a GPU."""
        new = model.state_dict()
        if self.num_updates == 0:
            for name, tensor in self.tensors.items():
                tensor.copy_(new[name])
        else:
            keep = min(self.decay, (1 + float(self.num_updates)) / (10 + float(self.num_updates)))
            smooth = [name for name, tensor in self.tensors.items() if tensor.is_floating_point()]
            torch._foreach_lerp_(
                [distributed.own_part(self.tensors[name]) for name in smooth],
                [distributed.own_part(new[name]) for name in smooth],
                1 - keep,
            )
            for name in self.tensors.keys() - set(smooth):
                self.tensors[name].copy_(new[name])
        self.num_updates += 1

    def whole(self) -> dict[str, Tensor]:
        """All tensors on the CPU, those that are shared out over ranks put together: every rank must call it."""
        return distributed.whole(self.tensors)
