"""What a run changes, for tests."""

from __future__ import annotations

import torch

from omnidet.training import optimizer
from omnidet.training.average import Average
from omnidet.training.config import OptimizerConfig
from omnidet.training.run_state import State
from tests import toys


def make(seed: int, train: bool = False, model: toys.ModelConfig = toys.MODEL) -> State:
    """A toy detector with its average and optimizer; `train`: after two steps."""
    detector = toys.toy_detector(seed, model)
    state = State(detector, Average(detector, 0.9), optimizer.build(detector, OptimizerConfig()))
    if train:
        for _ in range(2):
            detector(toys.batch()).scores_BQL.sum().backward()
            state.optimizer.step()
            state.optimizer.zero_grad()
            state.average.update(detector)
    return state


def same(one: State, other: State) -> bool:
    """Whether weights, averages and moments are equal to the last bit."""
    pairs = [
        (one.model.state_dict(), other.model.state_dict()),
        (one.average.tensors, other.average.tensors),
    ]
    weights = all(torch.equal(m[name], n[name]) for m, n in pairs for name in m)
    moments = [s.optimizer.state_dict()["state"] for s in (one, other)]
    equal = moments[0].keys() == moments[1].keys()
    equal = equal and all(
        torch.equal(moments[0][i][k], moments[1][i][k]) for i in moments[0] for k in moments[0][i]
    )
    return weights and equal and one.average.num_updates == other.average.num_updates
