"""A run's state as named tensors: all of it comes back, and only into the same model."""

from __future__ import annotations

import dataclasses
import random

import pytest
import torch

from omnidet.training import run_state
from omnidet.training.average import Average
from tests import toys
from tests.training import states


def test_all_of_it_comes_back_by_name():
    trained, fresh = states.make(1, train=True), states.make(2)
    found = run_state.collect(trained)
    assert tuple(found) == run_state.PARTS
    weight = next(name for name, _ in trained.model.named_parameters())
    assert {f"{weight}/exp_avg", f"{weight}/exp_avg_sq"} <= found["optimizer"].keys()
    run_state.fill(fresh, found)
    fresh.average.num_updates = trained.average.num_updates
    assert states.same(trained, fresh)


def test_the_order_of_parameters_does_not_matter():
    """Moments are stored by name: an optimizer that groups parameters otherwise gets its own."""
    trained, fresh = states.make(1, train=True), states.make(2)
    for group in fresh.optimizer.param_groups:
        group["params"].reverse()
    run_state.fill(fresh, run_state.collect(trained))
    moments = [
        {
            name: state.optimizer.state[parameter]["exp_avg"]
            for name, parameter in state.model.named_parameters()
            if parameter in state.optimizer.state
        }
        for state in (trained, fresh)
    ]
    assert moments[0]
    assert moments[0].keys() == moments[1].keys()
    assert all(torch.equal(moments[1][name], value) for name, value in moments[0].items())


def test_what_was_collected_is_a_copy():
    state = states.make(1, train=True)
    found = run_state.collect(state)
    before = {name: tensor.clone() for name, tensor in found["model"].items()}
    with torch.no_grad():
        for parameter in state.model.parameters():
            parameter.add_(1)
    assert all(torch.equal(found["model"][name], tensor) for name, tensor in before.items())


def test_generators_go_on_where_they_were():
    state = states.make(1)
    torch.manual_seed(5)
    random.seed(5)
    random.gauss(0, 1)  # Python keeps the second of two draws
    saved = run_state.collect(state)["random"]
    expected = (torch.rand(3), random.gauss(0, 1), random.random())
    torch.manual_seed(6)
    random.seed(6)
    run_state.set_generators(saved, 0)
    assert torch.equal(torch.rand(3), expected[0])
    assert (random.gauss(0, 1), random.random()) == expected[1:]


def test_each_rank_has_its_own_generators():
    state = states.make(1)
    torch.manual_seed(5)
    own = run_state.collect(state)["random"]
    torch.manual_seed(6)
    other = run_state.collect(state)["random"]
    both = own | {name.replace("0/", "1/", 1): value for name, value in other.items()}
    run_state.set_generators(both, 1)
    second = torch.rand(3)
    run_state.set_generators(both, 0)
    assert not torch.equal(torch.rand(3), second)
    run_state.set_generators(other, 0)
    assert torch.equal(torch.rand(3), second)


def test_another_shape_is_named():
    found = run_state.collect(states.make(1))
    wider = states.make(1, model=dataclasses.replace(toys.MODEL, embedding_width=12))
    with pytest.raises(ValueError, match=r"shape .* checkpoint and .*12.* model"):
        run_state.fill(wider, found)


@pytest.mark.parametrize("part", ["model", "average"])
def test_a_missing_or_unknown_name_is_named(part):
    state = states.make(1)
    found = run_state.collect(state)
    name = sorted(found[part])[0]
    without = {key: value for key, value in found[part].items() if key != name}
    for other in (without, found[part] | {"0_unknown": torch.zeros(1)}):
        with pytest.raises(ValueError, match=f"{name}|0_unknown"):
            run_state.fill(state, found | {part: other})


def test_moments_have_the_strides_of_their_weights():
    """The fused kernel pairs them in the order of memory, which a network may change."""
    torch.manual_seed(0)
    images = torch.randn(2, 3, 8, 8)

    def network() -> tuple[torch.nn.Module, run_state.State]:
        model = torch.nn.Conv2d(3, 4, 3).to(memory_format=torch.channels_last)
        adamw = torch.optim.AdamW(model.parameters(), lr=0.1, fused=True)
        return model, run_state.State(model, Average(model, 0.9), adamw)

    def step(model: torch.nn.Module, state: run_state.State) -> torch.Tensor:
        model(images).square().sum().backward()
        state.optimizer.step()
        return model.weight.detach().clone()

    first, trained = network()
    step(first, trained)
    other, loaded = network()
    run_state.fill(loaded, run_state.collect(trained))
    first.zero_grad()
    assert loaded.optimizer.state[other.weight]["exp_avg"].stride() == other.weight.stride()
    assert torch.equal(step(first, trained), step(other, loaded))
