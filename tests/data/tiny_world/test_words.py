"""What is said of a scene is true of it."""

from __future__ import annotations

import re

import numpy as np
import pytest

from omnidet.data.tiny_world import words
from omnidet.data.tiny_world.scenes import Scene, Style, Thing, draw_scene
from omnidet.data.tiny_world.sprites import COLOURS, SHAPES


def thing(colour: str, shape: str, size: str = "small") -> Thing:
    return Thing(colour, shape, size, (0, 0, 20, 20), 400)


def test_names_and_numbers():
    assert words.name("red", "star", "large") == "large red star"
    assert words.name("blue", "hot dog", number=2) == "blue hot dogs"
    assert words.name("", "cross", number=3) == "crosses"
    assert words.counted("orange ring") == "an orange ring"
    assert words.counted("red star") == "a red star"
    assert words.counted("blue circles", 2) == "two blue circles"


def test_equal_things_are_one_group_with_their_common_size():
    scene = Scene(
        128,
        (thing("red", "star"), thing("blue", "moon"), thing("red", "star", "large")),
    )
    assert words.groups(scene) == [
        words.Group((0, 2), "red", "star", ""),
        words.Group((1,), "blue", "moon", "small"),
    ]


PAIR = re.compile(rf"({'|'.join(COLOURS)}) ({'|'.join(sorted(SHAPES, key=len, reverse=True))})")


@pytest.mark.parametrize("say", [words.captions, words.web_text, words.alt_text])
def test_only_things_of_the_scene_are_named(say):
    named = 0
    for seed in range(30):
        rng = np.random.default_rng(seed)
        scene, _ = draw_scene(rng, 128, Style(crowd_share=0.2))
        there = {(t.colour, t.shape) for t in (*scene.things, *filter(None, [scene.crowd]))}
        text = str(say(rng, scene)).lower()
        found = set(PAIR.findall(text))
        assert found <= there, text
        named += len(found)
    assert named > 20


def test_an_empty_scene_has_captions_without_things():
    rng = np.random.default_rng(0)
    for text in words.captions(rng, Scene(128, ())):
        assert not PAIR.search(text.lower())


def test_chains_of_tagged_sentences_are_those_of_the_tags():
    for seed in range(20):
        rng = np.random.default_rng(seed)
        scene, _ = draw_scene(rng, 128, Style())
        sentences, chains = words.tagged_sentences(rng, scene, first_chain=100)
        assert len(sentences) == 5
        tagged = {int(i) for i in re.findall(r"EN#(\d+)/", "".join(sentences))} - {0}
        assert tagged == {chain.number for chain in chains}
        assert all(100 <= number < 120 for number in tagged)
        assert all(m < len(scene.things) for chain in chains for m in chain.members)
