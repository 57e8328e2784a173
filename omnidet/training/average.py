"""The moving average of the weights. It is what is evaluated and saved as the trained detector."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import get_ema_multi_avg_fn

from omnidet.training import distributed


class Average:
    """Follows a model step by step; faster in the first steps, so that short runs average too."""

    def __init__(self, model: nn.Module, decay: float) -> None:
        self.decay, self.num_updates = decay, 0
        self.tensors = {
            name: tensor.detach().clone() for name, tensor in model.state_dict().items()
        }

    @torch.no_grad()
    def update(self, model: nn.Module) -> None:
        """Move towards the present weights; the first call copies them.

        Ranks do not communicate, and nothing waits for a GPU.
        """
        new = model.state_dict()
        if self.num_updates == 0:
            for name, tensor in self.tensors.items():
                tensor.copy_(new[name])
        else:
            keep = min(self.decay, (1 + float(self.num_updates)) / (10 + float(self.num_updates)))
            smooth = [name for name, tensor in self.tensors.items() if tensor.is_floating_point()]
            move = get_ema_multi_avg_fn(keep)  # type: ignore[no-untyped-call]
            move(
                [distributed.own_part(self.tensors[name]) for name in smooth],
                [distributed.own_part(new[name]) for name in smooth],
                None,
            )
            for name in self.tensors.keys() - set(smooth):
                self.tensors[name].copy_(new[name])
        self.num_updates += 1

    def whole(self) -> dict[str, Tensor]:
        """All tensors on the CPU. Sharded ones are gathered, so every rank must call this."""
        return distributed.whole(self.tensors)
