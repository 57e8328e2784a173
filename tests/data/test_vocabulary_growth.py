"""A vocabulary that grows keeps its tokens, and its phrases keep what they ask for."""

from __future__ import annotations

import pickle

import numpy as np
import pytest

from omnidet.data import vocabulary, vocabulary_growth
from omnidet.data.vocabulary import Vocabulary, VocabularyConfig
from tests.data.test_vocabulary import CORPUS, record, same


def test_growing_moves_nothing_and_changes_no_phrase():
    old = vocabulary.build(CORPUS, VocabularyConfig(size=400))
    new, words = vocabulary_growth.extend(
        old, [record("zyx cell", absent=["red quasar"], caption="a qqq once")]
    )
    assert words == ("cell", "quasar", "zyx")  # a word of one caption alone stays in parts
    assert new.num_tokens == old.num_tokens + 2 * len(words)
    vocabulary_growth.require_extension(old, new)
    for phrase in ("red star", "star left of circle", "blue moon above the dog"):
        assert np.array_equal(old.encode(phrase)[0], new.encode(phrase)[0])
        assert np.array_equal(old.encode(phrase)[1], new.encode(phrase)[1])
    (own,), _ = new.encode("zyx")
    _, twin = new.encode("zyx left of zyx")[0][[0, -1]]
    assert old.num_tokens <= own < old.num_tokens + len(words) <= twin < new.num_tokens
    assert [text for text, _ in new.tokens("zyx left of cell")][-2:] == ["zyx", "cell (context)"]
    assert vocabulary_growth.extend(new, [record("zyx cell")]) == (new, ())


def test_a_grown_vocabulary_is_saved_pickled_and_grows_again(tmp_path):
    old = vocabulary.build(CORPUS, VocabularyConfig(size=400))
    once, _ = vocabulary_growth.extend(old, [record("zyx")])
    twice, _ = vocabulary_growth.extend(once, [record("quasar")])
    twice.save(tmp_path)
    for copy in (Vocabulary.load(tmp_path), pickle.loads(pickle.dumps(twice))):
        assert copy.content_hash == twice.content_hash
        for phrase in ("zyx left of quasar", "red star"):
            assert np.array_equal(copy.encode(phrase)[0], twice.encode(phrase)[0])
    assert len({v.content_hash for v in (old, once, twice)}) == 3
    vocabulary_growth.require_extension(old, twice)
    with pytest.raises(ValueError, match="extend"):
        vocabulary_growth.require_extension(twice, old)
    with pytest.raises(ValueError, match="extend"):
        vocabulary_growth.require_extension(
            vocabulary.build(CORPUS[3:], VocabularyConfig(size=400)), twice
        )


def test_new_names_that_would_be_the_same_are_told_apart():
    old = vocabulary.build([*CORPUS] * 2, VocabularyConfig(size=700))
    assert same(old, "stars", "star")
    new, words = vocabulary_growth.extend(old, [record("stars", absent=["star"])])
    assert words == ("stars",)
    assert not same(new, "stars", "star")
    assert same(new, "the stars", "stars")
    again, _ = vocabulary_growth.extend(old, [record("stars")], names=["stars", "star"])
    assert not same(again, "stars", "star")


def test_the_singular_of_a_new_name_finds_it():
    old = vocabulary.build([*CORPUS] * 2, VocabularyConfig(size=700))
    new, _ = vocabulary_growth.extend(old, [record("zyxes", absent=["red star"])])
    assert same(new, "a zyx", "zyxes")
