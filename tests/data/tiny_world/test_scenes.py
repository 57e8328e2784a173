"""Scenes: boxes around the pixels, hardly any overlap, crowds."""

from __future__ import annotations

import numpy as np
import pytest
from pycocotools import mask as coco_mask

from omnidet.data.tiny_world.scenes import Style, draw_scene, run_lengths
from omnidet.data.tiny_world.sprites import HELD_OUT_PAIRS, SHAPES


def test_another_seed_draws_other_pictures():
    first, other = (
        draw_scene(np.random.default_rng([seed, 0]), 128, Style())[1] for seed in (0, 1)
    )
    assert (first != other).any()


@pytest.mark.slow
@pytest.mark.parametrize("shape", SHAPES)
def test_boxes_are_tight_around_the_pixels(shape):
    """A bright thing on a dark ground, found again by colour alone."""
    found = 0
    for seed in range(300):
        scene, pixels = draw_scene(np.random.default_rng(seed), 128, Style(most=1))
        thing = scene.things[0]
        if thing.shape != shape or thing.colour not in ("red", "yellow", "cyan", "orange"):
            continue
        found += 1
        spread = np.ptp(pixels.astype(int), axis=2) > 95  # the ground is nearly grey
        rows, columns = np.nonzero(spread.any(1))[0], np.nonzero(spread.any(0))[0]
        measured = columns[0], rows[0], columns[-1] + 1, rows[-1] + 1
        if shape != "hot dog":  # its sausage is dark
            assert np.abs(np.subtract(measured, thing.box_xyxy)).max() <= 1
        x0, y0, x1, y1 = thing.box_xyxy
        assert max(x1 - x0, y1 - y0) in (range(17, 28) if thing.size == "small" else range(33, 52))
    assert found >= 3


def test_scenes_are_inside_the_image_and_hardly_overlap():
    for seed in range(150):
        scene, _ = draw_scene(np.random.default_rng(seed), 128, Style(crowd_share=0.3))
        assert 1 <= len(scene.things) <= 6
        boxes = np.array([thing.box_xyxy for thing in scene.things])
        assert (boxes[:, :2] >= 0).all()
        assert (boxes[:, 2:] <= 128).all()
        assert (boxes[:, 2:] > boxes[:, :2]).all()
        sizes = boxes[:, 2:] - boxes[:, :2]
        for i in range(len(boxes)):
            for j in range(i):
                common = np.clip(
                    np.minimum(boxes[i, 2:], boxes[j, 2:]) - np.maximum(boxes[i, :2], boxes[j, :2]),
                    0,
                    None,
                ).prod()
                assert common / (sizes[i].prod() + sizes[j].prod() - common) < 0.1
        assert not {(thing.colour, thing.shape) for thing in scene.things} & set(HELD_OUT_PAIRS)


@pytest.mark.filterwarnings(
    "ignore:__array__ implementation:DeprecationWarning"
)  # pycocotools under numpy 2
def test_run_lengths_are_those_of_pycocotools():
    rng = np.random.default_rng(0)
    for share in (0.0, 0.1, 0.9, 1.0):
        mask = rng.random((7, 5)) < share
        encoded = coco_mask.frPyObjects({"counts": list(run_lengths(mask)), "size": [7, 5]}, 7, 5)
        assert (coco_mask.decode(encoded).astype(bool) == mask).all()


def test_crowds_are_run_lengths_that_fit_their_boxes(tmp_path):
    """Drawn with many crowds, as a small world may have none."""
    found = 0
    for seed in range(40):
        scene, _ = draw_scene(np.random.default_rng(seed), 128, Style(most=2, crowd_share=1.0))
        if scene.crowd is None:
            continue
        found += 1
        rle = coco_mask.frPyObjects(
            {"counts": list(scene.crowd.run_lengths), "size": [128, 128]}, 128, 128
        )
        x0, y0, x1, y1 = scene.crowd.box_xyxy
        assert coco_mask.toBbox(rle).tolist() == [x0, y0, x1 - x0, y1 - y0]
        assert coco_mask.area(rle) == scene.crowd.area
        assert (scene.crowd.colour, scene.crowd.shape) not in {
            (t.colour, t.shape) for t in scene.things
        }
    assert found >= 20
