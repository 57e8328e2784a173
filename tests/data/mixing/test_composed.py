"""Phrases that a transform composes: only of words that the training data holds."""

from __future__ import annotations

import pytest

from omnidet.data import vocabulary
from omnidet.data.mixing.config import Stream
from omnidet.data.transforms.relations import Relations
from omnidet.data.vocabulary import VocabularyConfig
from tests.data.mixing.mixes import WORDS, assert_same, batches, make, mixture, write

RELATIONAL = tuple(f"star {side} circle" for side in ("left of", "right of", "above", "below"))
THINGS = make(
    7,
    [(0, 5, 8, 13), (30, 5, 38, 13), (15, 5, 23, 13)],
    phrases=("star", "circle", "dog"),
    phrase_boxes=((0,), (1,), (2,)),
    absent=("moon",),
)
STREAM = Stream("det", ("train/coco",), 1, transforms=(Relations(phrases=9, absent=9),))


@pytest.fixture(scope="module")
def words():
    phrases = ("star", "circle", "dog", "moon", *RELATIONAL)
    record = make(phrases=phrases, phrase_boxes=((),) * len(phrases))
    return vocabulary.build([record] * 2, VocabularyConfig(size=500))


def _asked(batch, words) -> dict[str, tuple[bool, list[int]]]:
    """{phrase: (is a negative elsewhere, boxes it names)} of the first image."""
    names = ("star", "circle", "dog", "moon")
    known = {*names, *(p.replace("star", name) for p in RELATIONAL for name in names)}
    of_tokens = {tuple(words.encode(text)[0].tolist()): text for text in known}
    table = batch.phrases
    ends = [*table.offsets_P.tolist()[1:], len(table.token_ids_K)]
    found = {}
    for column, phrase in enumerate(batch.name_BL[0].tolist()):
        ids_K = table.token_ids_K[table.offsets_P[phrase] : ends[phrase]]
        boxes = batch.named_BNL[0, :, column].nonzero().flatten().tolist()
        name = of_tokens[tuple(ids_K.tolist())]
        found[name] = (bool(batch.negative_BL[0, column]), boxes)
    return found


def test_what_is_composed_is_asked_with_its_boxes(tmp_path, words):
    index = write(tmp_path, {"train/coco": [THINGS]})
    asked = _asked(mixture(index, (STREAM,), words=words)[0], words)
    assert asked["star left of circle"] == (True, [0])
    assert asked["dog left of circle"] == (True, [2])
    assert asked["dog right of circle"] == (True, [])
    # No text has a dog or a star after a relation: asked for, these words would be left out.
    assert all(name.endswith(" circle") for name in asked if len(name.split()) > 1)


def test_workers_compose_the_same(tmp_path, words):
    index = write(tmp_path, {"train/coco": [THINGS] * 3})
    alone, made = (
        batches(index, workers, steps=3, streams=(STREAM,), words=words) for workers in (0, 2)
    )
    for one, other in zip(alone, made, strict=True):
        assert_same(one, other)


def test_relations_that_no_text_holds_are_left_out_and_said_to_be(tmp_path, words):
    index = write(tmp_path, {"train/coco": [THINGS]})
    mix = mixture(index, (STREAM,), words=WORDS)
    asked = _asked(mix[0], WORDS)
    assert {name for name in asked if " " in name} == {"star left of circle", "dog left of circle"}
    (note,) = mix.notes
    assert "'right of', 'above', 'below'" in note
    assert "left of" not in note
    assert mixture(index, (STREAM,), words=words).notes == []
