"""Sampled negatives: drawn by frequency, and never a name that a phrase may mean."""

from __future__ import annotations

import dataclasses
from collections import Counter

import numpy as np
import pytest

from omnidet.data import vocabulary
from omnidet.data.mixing.negatives import NameSampler, count_names
from omnidet.data.shard_cache import ShardCache
from omnidet.data.vocabulary import VocabularyConfig
from tests.data.mixing.mixes import make, write

NAMES = ("dog", "hot dog", "police car", "car", "moon", "star", "cow", "umbrella")
WORDS = vocabulary.build(
    [make(phrases=NAMES, phrase_boxes=((),) * len(NAMES))] * 3, VocabularyConfig(size=600)
)


def sampler(**counts):
    return NameSampler({**dict.fromkeys(NAMES, 4), **counts}, WORDS)


def present(*phrases, absent=()):
    return make(phrases=phrases, phrase_boxes=((0,),) * len(phrases), absent=absent)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("phrases", "never"),
    [
        (("dog",), {"dog", "hot dog"}),
        (("hot dog",), {"hot dog", "dog"}),
        (("car", "moon"), {"car", "police car", "moon"}),
        (("Hot DOG!",), {"hot dog", "dog"}),
    ],
)
def test_names_that_a_phrase_may_mean_are_never_drawn(phrases, never):
    for seed in range(20):
        names = sampler().sample(present(*phrases), 100, np.random.default_rng(seed))
        assert set(names) == set(NAMES) - never
        assert len(names) == len(set(names))


def test_names_that_the_record_lists_are_never_drawn():
    names = sampler().sample(present("moon", absent=("star", "cow")), 100, np.random.default_rng(0))
    assert set(names) == {"dog", "hot dog", "police car", "car", "umbrella"}


def test_names_are_drawn_by_the_square_root_of_their_frequency():
    """One of two names with 100 images and 1 image is drawn: 10 to 1."""
    draw = NameSampler({"moon": 100, "star": 1}, WORDS)
    seen = Counter(
        draw.sample(present("dog"), 1, np.random.default_rng(seed))[0] for seed in range(3000)
    )
    assert 0.06 < seen["star"] / 3000 < 0.125


def test_the_draw_is_a_pure_function_of_the_generator():
    draws = [sampler().sample(present("dog"), 3, np.random.default_rng(7)) for _ in range(3)]
    assert len(set(draws)) == 1
    assert len(draws[0]) == 3
    assert sampler().sample(present("dog"), 0, np.random.default_rng(7)) == ()
    assert sampler().sample(present("dog"), -5, np.random.default_rng(7)) == ()


def test_names_are_counted_once_per_image(tmp_path):
    records = [
        present("dog", "moon") if i % 2 else present("dog", absent=("cow",)) for i in range(8)
    ]
    index = write(tmp_path, {"train/lvis": records})
    assert count_names(index, "train/lvis", ShardCache()) == {"dog": 8, "moon": 4}


def test_names_that_the_index_counts_need_no_shard(tmp_path):
    index = write(tmp_path, {"train/lvis": [present("dog", "moon") for _ in range(8)]})
    counted = dataclasses.replace(index, names={"train/lvis": {"dog": 8, "moon": 4}})
    for path in tmp_path.rglob("*.tar"):
        path.unlink()
    assert count_names(counted, "train/lvis", ShardCache()) == {"dog": 8, "moon": 4}
    with pytest.raises(FileNotFoundError, match=r"\.tar"):
        count_names(index, "train/lvis", ShardCache())
