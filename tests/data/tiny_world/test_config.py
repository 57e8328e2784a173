"""Impossible sizes are refused before anything is drawn."""

from __future__ import annotations

import pytest

from omnidet.data.tiny_world.config import TinyWorld


@pytest.mark.parametrize(
    "change", [{"image_size": 20}, {"train_images": 3}, {"val_images": 2}, {"broken": -1}]
)
def test_impossible_configs_are_refused(change):
    with pytest.raises(ValueError, match=next(iter(change))):
        TinyWorld(**change)


def test_more_images_of_refcocog_than_scenes_to_choose_from_are_refused():
    TinyWorld(train_images=20, refcocog_val_images=40).require_drawable()
    with pytest.raises(ValueError, match=r"refcocog_val_images is 41: .*train_images, 20"):
        TinyWorld(train_images=20, refcocog_val_images=41).require_drawable()
