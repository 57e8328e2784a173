"""A small corpus of colours and shapes, and what to ask of the vocabulary that is built of it."""

from __future__ import annotations

import numpy as np

from omnidet.data import vocabulary
from omnidet.data.vocabulary import VocabularyConfig
from omnidet.schema import Record

COLOURS, SHAPES = ("red", "blue", "green", "yellow"), ("star", "circle", "dog", "moon")


def record(*phrases, absent=(), caption=""):
    return Record(b"", 1, 1, "toy", "toy:1", phrases=phrases, absent=tuple(absent), caption=caption)


CORPUS = (
    *(
        record(f"{c} {s}", absent=[f"{d} {s}" for d in COLOURS if d != c])
        for c in COLOURS
        for s in SHAPES
    ),
    *(record(shape, absent=[s for s in SHAPES if s != shape]) for shape in SHAPES),
    record(
        "star left of circle",
        "circle left of star",
        "the star to the right of the moon",
        "left star",
    ),
    record("moon above the dog", caption="A red star stands near the blue circle on the ground."),
    record("rocket", caption="The dog and the moon."),
)
HOT_DOGS = (
    record("hot dog", absent=["dog", "star"]),
    record("red hot dog", absent=["red dog", "blue dog", "red star"]),
    record("hot dog", "bun"),
)
CONFIG = VocabularyConfig(size=700)


def build(*more):
    """Each text twice, so that its words are whole tokens."""
    return vocabulary.build([*CORPUS, *more] * 2, CONFIG)


def ids(words, text, roles=True):
    return words.encode(text, roles)[0].tolist()


def names(words, text):
    return {name for name, _ in words.tokens(text)}


def token(words, text):
    (one,) = ids(words, text)
    return one


def same(words, one, other):
    return all(
        np.array_equal(a, b) for a, b in zip(words.encode(one), words.encode(other), strict=True)
    )
