"""The tokenizer and its weights, by hand; what becomes of them in a phrase: test_vocabulary.py."""

from __future__ import annotations

import numpy as np
import pytest

from omnidet.data import tokenization
from omnidet.schema import Record

RECORDS = (
    *(Record(b"", 1, 1, "toy", "toy:1", phrases=(text,)) for text in ("hot dog", "hot dog", "dog")),
    Record(b"", 1, 1, "toy", "toy:2", caption="A dog and a bun."),
)


def record(*phrases, absent=()):
    return Record(b"", 1, 1, "toy", "toy:1", phrases=phrases, absent=absent)


@pytest.fixture(scope="module")
def plain():
    return tokenization.train(RECORDS, 300, 1)


def test_words_of_names_and_captions_are_whole_tokens(plain):
    for word in ("hot", "dog"):
        assert len(plain.encode(word).ids) == 1
    assert len(plain.encode("zebra").ids) > 1


@pytest.mark.parametrize("size", [257, 262])
def test_size_is_a_bound(size):
    made = tokenization.train(RECORDS, size, 1)
    assert 257 <= made.get_vocab_size() <= size


def test_rare_subwords_stay_in_parts():
    assert len(tokenization.train(RECORDS, 300, 2).encode("bun").ids) > 1
    assert len(tokenization.train(RECORDS, 300, 1).encode("dog").ids) == 1


@pytest.mark.parametrize("text", ["Hot  DOG!", "hot-dog", " ｈｏｔ\tdog ", "h’ot dog", "h'ot dog"])
def test_normalized_has_lower_case_and_single_spaces(plain, text):
    assert tokenization.normalized(plain, text) == "hot dog"


def test_texts_are_the_phrases_and_the_caption():
    assert [list(tokenization.texts(r)) for r in RECORDS] == [
        ["hot dog"],
        ["hot dog"],
        ["dog"],
        ["A dog and a bun."],
    ]


def test_weights_count_each_distinct_text_once(plain):
    """Three distinct texts: "dog" is in all, "hot" in one although two records say it."""
    weights, heard = tokenization.inverse_document_frequency(plain, RECORDS)
    assert weights[plain.encode("dog").ids[0]] == 0
    assert weights[plain.encode("hot").ids[0]] == pytest.approx(np.log(4 / 2))
    assert weights[plain.token_to_id("<pad>")] == 0
    assert heard[plain.encode("dog hot").ids].all()
    assert not heard[plain.encode("zebra").ids].all()


def test_a_name_misleads_where_a_part_was_verified_absent(plain):
    records = [record("hot dog", absent=("dog", "star"))]
    assert tokenization.misleading_names(plain, records) == ["hot dog"]
    made = tokenization.train([*RECORDS, *records], 300, 1)
    assert made.encode("Hot-Dog!").ids == [made.token_to_id("hot dog")]
    assert made.encode("hot dogs").ids[0] != made.token_to_id("hot dog")


@pytest.mark.parametrize(
    "given",
    [
        record("hot dog", absent=("star",)),  # what is not listed as absent is unknown
        record("hot dog", "dog", absent=("star",)),
        record("dog", absent=("hot dog",)),  # the longer name is the one that is absent
        record("hot dog", absent=("red dog",)),
    ],
)
def test_other_names_do_not_mislead(plain, given):
    assert tokenization.misleading_names(plain, [given]) == []


def test_short_names_come_first_and_make_longer_ones_unneeded(plain):
    records = [record("red hot dog", absent=("red dog",)), record("hot dog", absent=("dog",))]
    assert tokenization.misleading_names(plain, records) == ["hot dog"]
    assert tokenization.misleading_names(plain, records[:1]) == ["red hot dog"]


def test_the_same_bag_of_words_misleads(plain):
    records = [record("dog house", absent=("house dog",))]
    assert tokenization.misleading_names(plain, records) == ["dog house"]
