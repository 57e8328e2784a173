"""What a recipe refuses when it is made, not hours later."""

from __future__ import annotations

import dataclasses

import pytest

from omnidet import config
from omnidet.recipes.photographs import photographs
from omnidet.recipes.tiny_world import tiny_world
from omnidet.training.config import WeightedLoss


@pytest.mark.parametrize(
    "change",
    [
        "register.name=My Model",
        "retrain.steps=0",
        "retrain.replay_share=1",
        "retrain.replay_share=-0.1",
        "retrain.new_images=-1",
        "retrain.new_weight=0",
        "retrain.image_size=100",
        "retrain.image_size=100000",
        "retrain.learning_rate=0",
        "retrain.new_token_rate=0",
        "retrain.warmup_steps=-1",
        "retrain.min_ap50=1.1",
        "retrain.min_boxes=0",
    ],
)
def test_a_number_that_makes_no_sense_is_named(change):
    field, _, value = change.partition("=")
    with pytest.raises(ValueError, match=f"{field.rpartition('.')[2]}|name") as caught:
        config.override(tiny_world(), change)
    assert value in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_step_of_no_image_is_refused():
    with pytest.raises(ValueError, match=r"streams\.det\.images_per_step=0"):
        config.override(photographs(), "streams.det.images_per_step=0")


def test_captions_without_a_name_to_tell_things_by_are_refused():
    with pytest.raises(ValueError, match=r"caption_regions.*'img'.*asked_names"):
        dataclasses.replace(tiny_world(), losses=(WeightedLoss("caption_regions", 0.5),))


def test_the_images_of_a_stream_fit_the_backbone():
    with pytest.raises(ValueError, match=r"'det'.*image_size=100.*16"):
        config.override(tiny_world(), "streams.det.image_size=100")
