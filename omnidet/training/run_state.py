"""What a run changes, as named tensors and back: weights, their average, moments, generators.

Each is whole on one rank, whatever the sharding, so another number of ranks can load it.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn, optim

from omnidet.training import distributed
from omnidet.training.average import Average

PARTS = ("model", "average", "optimizer", "random")


@dataclass(frozen=True)
class State:
    """What a run changes: references, not copies."""

    model: nn.Module
    average: Average
    optimizer: optim.Optimizer


def collect(state: State) -> dict[str, dict[str, Tensor]]:
    """Copies of everything by part and name, on the CPU. Every rank must call this.

    Only the main rank gets the content of sharded tensors. Generators are named `<rank>/<name>`.
    """
    generators = distributed.gather(_random_state())
    names = {id(parameter): name for name, parameter in state.model.named_parameters()}
    moments = {
        f"{names[id(parameter)]}/{key}": value
        for parameter, values in state.optimizer.state.items()
        for key, value in values.items()
    }
    return {
        "model": distributed.whole(state.model.state_dict()),
        "average": state.average.whole(),
        "optimizer": distributed.whole(moments),
        "random": {
            f"{rank}/{name}": value
            for rank, own in enumerate(generators)
            for name, value in own.items()
        },
    }


def fill(state: State, tensors: Mapping[str, Mapping[str, Tensor]]) -> None:
    """Load model, average and optimizer. Raises ValueError if names or shapes differ."""
    _fill(state.model.state_dict(), tensors["model"])
    _fill(state.average.tensors, tensors["average"])
    _fill_optimizer(state, tensors["optimizer"])


def set_generators(saved: Mapping[str, Tensor], rank: int) -> None:
    """Put the generators of this rank where they were."""
    own = f"{rank}/"
    _set_random_state(
        {name.removeprefix(own): value for name, value in saved.items() if name.startswith(own)}
    )


def _fill(targets: Mapping[str, Tensor], sources: Mapping[str, Tensor]) -> None:
    unpaired = sorted(targets.keys() ^ sources.keys())
    if unpaired:
        raise ValueError(f"{unpaired[0]} and {len(unpaired) - 1} more are in only one of the two")
    for name, target in targets.items():
        there, here = tuple(sources[name].shape), tuple(target.shape)
        if there != here:
            raise ValueError(f"{name} has shape {there} in the checkpoint and {here} in the model")
        with torch.no_grad():
            target.copy_(distributed.like(sources[name], target))


def _fill_optimizer(state: State, moments: Mapping[str, Tensor]) -> None:
    own = state.optimizer.state_dict()
    names = {id(parameter): name for name, parameter in state.model.named_parameters()}
    parameters = [
        parameter for group in state.optimizer.param_groups for parameter in group["params"]
    ]
    content: dict[int, dict[str, Tensor]] = {}
    for i, parameter in enumerate(parameters):
        prefix = f"{names[id(parameter)]}/"
        for key, value in moments.items():
            if key.startswith(prefix):
                alike = (
                    distributed.like(value, parameter.detach())
                    if value.shape == parameter.shape
                    else value
                )
                content.setdefault(i, {})[key.removeprefix(prefix)] = alike
    state.optimizer.load_state_dict({"state": content, "param_groups": own["param_groups"]})


def _random_state() -> dict[str, Tensor]:
    """The state of this rank's generators: torch's, the GPU's and Python's."""
    version, words, gauss = random.getstate()
    found = {"torch": torch.get_rng_state(), "python": torch.tensor([version, *words])}
    if gauss is not None:
        found["python_gauss"] = torch.tensor([gauss], dtype=torch.float64)
    if torch.cuda.is_available():
        found["cuda"] = torch.cuda.get_rng_state()
    return found


def _set_random_state(saved: Mapping[str, Tensor]) -> None:
    torch.set_rng_state(saved["torch"])
    version, *words = saved["python"].tolist()
    random.setstate(
        (version, tuple(words), saved["python_gauss"].item() if "python_gauss" in saved else None)
    )
    if "cuda" in saved and torch.cuda.is_available():
        torch.cuda.set_rng_state(saved["cuda"])
