"""What a backbone gets from its base class: normalised pixels and the shape of the grid."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from omnidet.model.backbone import Backbone


class Pooled(Backbone):
    """The mean colour of each patch."""

    def forward(self, images_BCHW: Tensor) -> Tensor:
        normal = self.normalised(images_BCHW)
        return torch.nn.functional.avg_pool2d(normal, self.stride).flatten(2).transpose(1, 2)

    def parameter_groups(self, *_decays: float) -> list[dict[str, Any]]:
        return []


def test_black_and_white_are_so_many_deviations_from_the_mean():
    backbone = Pooled(3, 8, mean=(0.5, 0.25, 0.0), std=(0.5, 0.25, 1.0))
    black = torch.zeros(1, 3, 16, 24, dtype=torch.uint8)
    assert backbone(black)[0, 0].tolist() == pytest.approx([-1.0, -1.0, 0.0])
    assert backbone(black + 255)[0, 0].tolist() == pytest.approx([1.0, 3.0, 1.0])


def test_the_grid_has_rows_and_columns_of_tokens():
    backbone = Pooled(3, 8, (0.5,) * 3, (0.5,) * 3)
    images = torch.zeros(2, 3, 16, 24, dtype=torch.uint8)
    assert backbone.grid(images) == (2, 3)
    assert backbone(images).shape == (2, 6, 3)


def test_mean_and_deviation_are_not_part_of_the_weights():
    assert Pooled(3, 8, (0.5,) * 3, (0.5,) * 3).state_dict() == {}


def test_a_backbone_without_a_forward_cannot_be_made():
    with pytest.raises(TypeError, match="abstract"):
        Backbone(3, 8, (0.5,) * 3, (0.5,) * 3)
