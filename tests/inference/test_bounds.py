"""Nothing that reaches the bar is lost, whatever the type and the number of bounds."""

from __future__ import annotations

import pytest
import torch

from omnidet.inference import bounds


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("size", [(1,), (63,), (64,), (7, 41), (300, 65)])
def test_places_are_those_of_what_is_not_negative(monkeypatch, dtype, size):
    monkeypatch.setattr(bounds, "BLOCKS_AT_ONCE", 3)
    values = torch.randn(size, generator=torch.Generator().manual_seed(0)).to(dtype) - 1.5
    values.view(-1)[-1] = 0.0
    parts = list(bounds.not_negative(values))
    assert torch.equal(torch.cat(parts), (values.flatten() >= 0).nonzero()[:, 0])


def test_where_all_are_negative_there_is_one_empty_part():
    (none,) = bounds.not_negative(-torch.ones(500))
    assert len(none) == 0
