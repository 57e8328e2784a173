"""Settings of streams and batches: what does not fit together is refused by name."""

from __future__ import annotations

import dataclasses
import math

import pytest

from omnidet.data.mixing.config import MixingConfig, Stream

STREAM = Stream("det", ("train/coco",), 4)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"images_per_step": -1}, "images_per_step=-1"),
        ({"sampled_negatives": -1}, "sampled_negatives=-1"),
        ({"sampled_negatives": 5, "boxes": False}, "sampled_negatives=5"),
        ({"asked_names": 5}, "asked_names=5"),
        ({"asked_names": 5, "boxes": False}, "asked_names=5"),
        ({"asked_names": -1, "boxes": False, "captions": True}, "asked_names=-1"),
        ({"image_size": 0}, "image_size=0"),
    ],
)
def test_a_wrong_setting_of_a_stream_is_named(change, named):
    with pytest.raises(ValueError, match=rf"det.*{named}: give"):
        dataclasses.replace(STREAM, **change)


@pytest.mark.parametrize("more", [{"describes": True}, {"captions": True}])
def test_images_with_descriptions_cannot_be_combined(more):
    dataclasses.replace(STREAM, combine="mosaic")
    with pytest.raises(ValueError, match=r"det.*combine='mosaic'.*describes"):
        dataclasses.replace(STREAM, combine="mosaic", **more)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("max_names", 0),
        ("max_boxes", 0),
        ("max_caption_tokens", 0),
        ("window_shards", 0),
        ("workers", -1),
        ("cache_gigabytes", 0.0),
        ("cache_gigabytes", math.inf),
    ],
)
def test_a_wrong_setting_of_the_mix_is_named(field, value):
    with pytest.raises(ValueError, match=f"mixing.{field}={value}: give"):
        MixingConfig(**{field: value})
