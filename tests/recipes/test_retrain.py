"""The recipe of a retraining: the new data, a replay of the old, benchmarks old and new."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from omnidet import config
from omnidet.data import shard_writer, shards
from omnidet.recipes import retrain
from omnidet.recipes.photographs import photographs
from omnidet.recipes.recipe import Recipe
from omnidet.recipes.tiny_world import tiny_world
from tests import toys

OLD = ("train/coco", "train/refcocog", "train/cc12m", "eval/coco", "eval/lvis")


def _index(folder, *names: str) -> shards.Index:
    """An index whose every set holds the toys, whose longer side is 64 pixels."""
    sets = {
        name: shard_writer.write_set(toys.records(), folder, name, 8) for name in (*OLD, *names)
    }
    shards.write_index(folder, sets, {}, {"held_out": {}, "quarantined": {}})
    return shards.read_index(folder)


def _retraining(folder, *changes: str, sets: tuple[str, ...] = ()) -> Recipe:
    recipe = config.override(tiny_world(), *changes)
    index = _index(folder, "train/cells", "eval/cells", *sets)
    return retrain.retraining(recipe, recipe.model, index, "cells")


def test_half_of_each_step_is_a_replay_in_the_old_proportions(tmp_path):
    recipe = _retraining(tmp_path, "retrain.new_images=0", "retrain.replay_share=0.5")
    images = {stream.name: stream.images_per_step for stream in recipe.streams}
    assert images == {"det": 4, "grd": 4, "img": 1, "new": 8}
    assert recipe.streams[-1].sets == ("train/cells",)
    assert recipe.streams[-1].weight == recipe.retrain.new_weight
    assert {name for s in recipe.streams[:-1] for name in s.sets} == set(OLD[:3])
    assert recipe.train.steps == recipe.retrain.steps
    assert recipe.train.optimizer.learning_rate == recipe.retrain.learning_rate


def test_the_replay_of_so_many_new_images_is_its_share_of_a_step(tmp_path):
    recipe = _retraining(tmp_path, "retrain.new_images=8", "retrain.replay_share=0.6666667")
    images = {stream.name: stream.images_per_step for stream in recipe.streams}
    assert images == {"det": 7, "grd": 8, "img": 1, "new": 8}


def test_there_is_always_a_new_image_in_a_step(tmp_path):
    """Of two images a step, nine tenths are two."""
    few = [
        f"streams.{name}.images_per_step={n}" for name, n in (("det", 2), ("grd", 0), ("img", 0))
    ]
    recipe = _retraining(tmp_path, "retrain.new_images=0", "retrain.replay_share=0.9", *few)
    assert recipe.streams[-1].name == "new"
    assert recipe.streams[-1].images_per_step == 1


def test_without_a_replay_only_the_new_data_is_seen(tmp_path):
    recipe = _retraining(tmp_path, "retrain.replay_share=0")
    assert [stream.name for stream in recipe.streams] == ["new"]


def test_streams_of_few_boxes_weigh_less(tmp_path):
    """By the square root of their boxes in a step; what has no boxes keeps its weight."""
    many, one = (
        [
            dataclasses.replace(
                record,
                boxes_xyxy=np.full((count, 4), [1, 1, 9, 9], np.float32),
                phrases=("cell",),
                phrase_boxes=(tuple(range(count)),),
                not_exhaustive=(),
            )
            for record in toys.records()
        ]
        for count in (18, 1)
    )
    sets = {
        name: shard_writer.write_set(many if name == "train/coco" else one, tmp_path, name, 8)
        for name in (*OLD, "train/cells", "eval/cells")
    }
    shards.write_index(tmp_path, sets, {}, {"held_out": {}, "quarantined": {}})
    recipe = config.override(tiny_world(), "retrain.balanced=true", "retrain.new_weight=1")
    found = retrain.retraining(recipe, recipe.model, shards.read_index(tmp_path), "cells")
    streams = {stream.name: stream for stream in found.streams}
    assert {n: s.images_per_step for n, s in streams.items()} == {
        "det": 7,
        "grd": 8,
        "img": 1,
        "new": 8,
    }
    weights = {name: stream.weight for name, stream in streams.items()}
    assert weights == {"det": 1.0, "grd": 0.252, "img": 1.0, "new": 0.252}  # 126 boxes, 8, none, 8
    heavy = config.override(recipe, "retrain.new_weight=3")
    again = retrain.retraining(heavy, heavy.model, shards.read_index(tmp_path), "cells")
    assert again.streams[-1].weight == 0.756


def test_layers_at_the_bottom_of_a_network_may_stay_as_they_are(tmp_path):
    index = _index(tmp_path, "train/cells", "eval/cells")
    recipe = config.override(photographs(), "retrain.frozen_layers=5")
    for before, after in ((0, 5), (7, 7)):
        backbone = dataclasses.replace(recipe.model.backbone, frozen_layers=before)
        trained = dataclasses.replace(recipe.model, backbone=backbone)
        taught = retrain.retraining(recipe, trained, index, "cells")
        assert taught.model.backbone.frozen_layers == after
    with pytest.raises(ValueError, match=r"retrain.frozen_layers=5.*conv_stem_vit"):
        retrain.retraining(recipe, tiny_world().model, index, "cells")


def test_what_earlier_retrainings_added_is_replayed_and_measured(tmp_path):
    recipe = _retraining(tmp_path, sets=("train/cups", "eval/cups"))
    (earlier,) = (stream for stream in recipe.streams if stream.name == "earlier")
    assert earlier.sets == ("train/cups",)
    measured = {b.name: b.set_name for b in recipe.evaluation.benchmarks}
    assert measured == {
        "coco": "eval/coco",
        "lvis": "eval/lvis",
        "absent": "eval/lvis",
        "cups": "eval/cups",
        "cells": "eval/cells",
    }
    only = retrain.of_new_data(recipe, "cells").evaluation.benchmarks
    assert [b.name for b in only] == ["cells"]


@pytest.mark.parametrize(("wanted", "side"), [(0, 128), (64, 128), (256, 128)])
def test_new_images_are_not_shown_smaller_than_old_ones_nor_enlarged(tmp_path, wanted, side):
    """The new images are small here: a larger side would show no more of them."""
    recipe = _retraining(tmp_path, f"retrain.image_size={wanted}")
    assert recipe.streams[-1].image_size == side
    assert recipe.model.image_size == side


def test_large_new_images_are_shown_larger(tmp_path):
    large = [dataclasses.replace(record, width=640, height=480) for record in toys.records()]
    sets = {
        name: shard_writer.write_set(
            large if name == "train/cells" else toys.records(), tmp_path, name, 8
        )
        for name in (*OLD, "train/cells", "eval/cells")
    }
    shards.write_index(tmp_path, sets, {}, {"held_out": {}, "quarantined": {}})
    recipe = config.override(tiny_world(), "retrain.image_size=256")
    found = retrain.retraining(recipe, recipe.model, shards.read_index(tmp_path), "cells")
    assert found.streams[-1].image_size == found.model.image_size == 256
    assert found.model.min_image_size == 128
    assert {stream.image_size for stream in found.streams[:-1]} == {128}


def test_the_shards_of_the_new_data_are_built_alone():
    own = retrain.datasets(tiny_world(), "cells")
    assert own.world is None
    assert [d.set_name for d in own.shards.train] == ["train/cells"]
    assert [d.set_name for d in own.shards.evaluation] == ["eval/cells"]
    assert not own.shards.hash_images
