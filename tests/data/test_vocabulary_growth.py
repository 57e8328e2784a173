"""A vocabulary that grows keeps its tokens, and its phrases keep what they ask for."""

from __future__ import annotations

import pickle

import numpy as np
import pytest

from omnidet.data import vocabulary, vocabulary_growth
from omnidet.data.vocabulary import Vocabulary, VocabularyConfig
from tests.data.words import CORPUS, record, same


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
    _, twin = new.encode("zyx left of zyx", True, True)[0][[0, -1]]
    assert old.num_tokens <= own < old.num_tokens + len(words) <= twin < new.num_tokens
    grown, _ = vocabulary_growth.extend(new, [record("zyx left of cell")])
    assert [text for text, _ in grown.tokens("zyx left of cell")][-2:] == ["zyx", "cell (context)"]
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


def test_what_is_taught_counts_as_heard():
    old = vocabulary.build([*CORPUS] * 2, VocabularyConfig(size=700))
    assert same(old, "red zyx", "red")
    new, _ = vocabulary_growth.extend(old, [record("zyx", caption="an odd quasar")])
    for word in ("zyx", "quasar", "odd"):
        assert not same(new, f"red {word}", "red")
    assert same(new, "red xyz", "red")
    assert same(new, "star left of zyx", "star left")  # it was never beside something


def test_a_name_that_is_spelt_like_a_subword_counts_once_it_is_taught():
    """It has a token already, which no text had held by itself."""
    old = vocabulary.build([*CORPUS] * 2, VocabularyConfig(size=700))
    candidates = (old.tokenizer.decode([t]).strip() for t in range(257, len(old.idf_T)))
    piece = next(t for t in candidates if t.isascii() and same(old, f"red {t}", "red"))
    new, words = vocabulary_growth.extend(old, [record(f"red {piece}")])
    assert words == ()
    assert new.content_hash != old.content_hash
    vocabulary_growth.require_extension(old, new)
    assert not same(new, f"red {piece}", "red")


def test_an_old_vocabulary_that_did_not_count_grows_as_before():
    built = vocabulary.build([*CORPUS] * 2, VocabularyConfig(size=700))
    old = Vocabulary(built.tokenizer, built.idf_T, built.blocks, built.names)
    new, _ = vocabulary_growth.extend(old, [record("zyx")])
    assert new.stored_heard_V is None
    assert not same(new, "red quokka", "red")


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
