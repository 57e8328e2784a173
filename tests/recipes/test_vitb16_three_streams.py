from __future__ import annotations

from omnidet.recipes.coco_folder import coco_folder
from omnidet.recipes.vitb16_three_streams import vitb16_three_streams, vitb16_three_streams_1024


def test_it_trains_on_the_shards_and_vocabulary_of_coco_folder():
    recipe, base = vitb16_three_streams(), coco_folder()
    assert (recipe.shards, recipe.vocabulary) == (base.shards, base.vocabulary)
    assert recipe.model.calibrated_streams == len(recipe.streams)
    assert sum(stream.images_per_step for stream in recipe.streams) == 80


def test_the_larger_one_scales_every_image():
    small, large = vitb16_three_streams(), vitb16_three_streams_1024()
    assert (small.model.image_size, large.model.image_size) == (640, 1024)
    assert [s.image_size for s in small.streams] == [None, None, 320]
    assert [s.image_size for s in large.streams] == [None, None, 512]
    assert large.register != small.register
