"""Shapes: pairs that are held out, and the size of what is drawn."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from omnidet.data.tiny_world.sprites import (
    HELD_OUT_PAIRS,
    SEEN_PAIRS,
    SHAPES,
    box_of,
    draw_sprite,
)


def test_held_out_pairs_use_each_word_at_most_twice_and_no_hot_dog():
    for words in zip(*HELD_OUT_PAIRS, strict=True):
        assert max(Counter(words).values()) <= 2
    assert len(set(HELD_OUT_PAIRS)) == 8
    assert "hot dog" not in {shape for _, shape in HELD_OUT_PAIRS}
    assert len(SEEN_PAIRS) == 72


@pytest.mark.parametrize("shape", SHAPES)
def test_a_sprite_has_the_size_asked_for_and_an_empty_border(shape):
    for seed in range(5):
        sprite = draw_sprite(np.random.default_rng(seed), shape, 30.0)
        x0, y0, x1, y1 = sprite.box_xyxy
        assert 28 <= max(x1 - x0, y1 - y0) <= 31
        border = np.ones(sprite.coverage.shape, bool)
        border[1:-1, 1:-1] = False
        assert sprite.coverage[border].max() < 0.5
        assert 0 <= sprite.coverage.min() <= sprite.coverage.max() <= 1


def test_only_the_hot_dog_is_partly_dark():
    shades = {s: draw_sprite(np.random.default_rng(0), s, 40.0).dark.max() for s in SHAPES}
    assert {shape for shape, shade in shades.items() if shade > 0} == {"hot dog"}


def test_the_hole_of_a_ring_is_empty():
    sprite = draw_sprite(np.random.default_rng(0), "ring", 40.0)
    height, width = sprite.coverage.shape
    assert sprite.coverage[height // 2, width // 2] == 0


def test_the_box_of_a_mask():
    mask = np.zeros((6, 8), bool)
    mask[2:4, 3] = mask[4, 5] = True
    assert box_of(mask) == (3, 2, 6, 5)
