"""The moving average: a copy first, then fast, then slow; integers are copied."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from omnidet.training.average import Average


class Model(nn.Module):
    """One weight, and a counter that must not be averaged."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(2))
        self.register_buffer("count", torch.tensor(0))

    def become(self, value: float) -> None:
        with torch.no_grad():
            self.weight.fill_(value)
            self.count.fill_(round(value))


def test_the_decay_grows_from_a_tenth_to_its_value():
    model = Model()
    average = Average(model, decay=0.5)
    model.become(1.0)
    average.update(model)
    assert average.tensors["weight"].tolist() == [1.0, 1.0]  # the first update copies
    expected = 1.0
    for number, value in enumerate((3.0, -2.0, 5.0, 4.0, 0.0, 7.0, 7.0, 1.0, 2.0, 6.0), 1):
        model.become(value)
        average.update(model)
        keep = min(0.5, (1 + number) / (10 + number))
        expected = keep * expected + (1 - keep) * value
        assert average.tensors["weight"].tolist() == pytest.approx([expected] * 2)
    assert average.num_updates == 11


def test_integers_are_those_of_the_last_step():
    model = Model()
    average = Average(model, decay=0.5)
    for value in (1.0, 8.0, 3.0):
        model.become(value)
        average.update(model)
    assert average.tensors["count"].item() == 3


def test_what_it_gives_is_a_copy():
    model = Model()
    average = Average(model, decay=0.5)
    whole = average.whole()
    model.become(9.0)
    average.update(model)
    assert whole["weight"].tolist() == [0.0, 0.0]
