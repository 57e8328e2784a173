"""Settings of the detector: what fits together, and how large the square of an image is."""

from __future__ import annotations

import dataclasses

import pytest

from omnidet import config
from omnidet.model.backbones.conv_stem_vit import ConvStemVit
from omnidet.model.backbones.timm_vit import TimmVit
from omnidet.model.config import LARGEST_SIDE, ModelConfig

SMALL = ModelConfig(64, ConvStemVit(32, 2, 2), 8)


@pytest.mark.parametrize(
    ("assignment", "remedy"),
    [
        ("image_size=100", "give 96"),
        ("image_size=0", "give 16"),
        (f"image_size={2 * LARGEST_SIDE}", f"give {LARGEST_SIDE}"),
        ("min_image_size=40", "give a multiple of 16 up to image_size=64, or 0"),
        ("min_image_size=80", "up to image_size=64"),
        ("embedding_width=0", "give 1 or more"),
        ("calibrated_streams=-1", "give 0 or more"),
    ],
)
def test_a_wrong_size_is_named_with_the_remedy(assignment, remedy):
    with pytest.raises(ValueError, match=f"model.{assignment}") as caught:
        config.override(SMALL, assignment)
    assert remedy in str(caught.value)


def test_sizes_follow_the_stride_of_the_backbone():
    assert ModelConfig(56, TimmVit("vit_small_patch14_dinov2")).backbone.stride == 14
    with pytest.raises(ValueError, match=r"model\.image_size=64 .* 14: give 70"):
        ModelConfig(64, TimmVit("vit_small_patch14_dinov2"))


@pytest.mark.parametrize(
    ("picture", "side"),
    [((10, 10), 32), ((32, 20), 32), ((20, 33), 48), ((50, 48), 64), ((640, 480), 64)],
)
def test_an_image_gets_the_smallest_square_that_holds_it(picture, side):
    model = dataclasses.replace(SMALL, min_image_size=32)
    assert model.position_side == 32
    assert model.side(*picture) == side


def test_without_a_least_size_all_squares_are_the_same():
    assert SMALL.position_side == 64
    assert {SMALL.side(*size) for size in ((1, 1), (64, 64), (640, 480))} == {64}
