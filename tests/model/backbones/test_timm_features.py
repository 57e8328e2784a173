"""Settings of a network that is used by its stages."""

from __future__ import annotations

import dataclasses

import pytest

from omnidet.model.backbones.timm_features import TimmFeatures


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"depth": -1}, "depth=-1"),
        ({"num_heads": 0}, "num_heads=0"),
        ({"width": 50}, "width=50"),
        ({"stride": 12}, "stride=12"),
        ({"from_strides": ()}, r"from_strides=\[\]"),
        ({"from_strides": (16, 64)}, r"from_strides=\[16, 64\]"),
        ({"drop_path": 1.0}, "drop_path=1.0"),
        ({"network_rate": 0.0}, "network_rate=0.0"),
        ({"frozen_layers": -1}, "frozen_layers=-1"),
    ],
)
def test_a_wrong_value_is_named(change, named):
    with pytest.raises(ValueError, match=rf"model\.backbone\.{named}: give"):
        dataclasses.replace(TimmFeatures(), **change)


@pytest.mark.parametrize(
    ("strides", "stride", "multiple"), [((16, 32), 16, 32), ((8,), 8, 8), ((8,), 32, 32)]
)
def test_a_side_must_hold_whole_cells_of_every_stage(strides, stride, multiple):
    config = TimmFeatures(from_strides=strides, stride=stride)
    assert config.size_multiple == multiple
    config.check_side(3 * multiple)
    with pytest.raises(ValueError, match=f"image_size={3 * multiple + 4} .* {multiple}"):
        config.check_side(3 * multiple + 4)


def test_without_weights_only_the_weights_change():
    config = TimmFeatures("resnet18", depth=1)
    assert config.without_weights() == dataclasses.replace(config, weights="random")
