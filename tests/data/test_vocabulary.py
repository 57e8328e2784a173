"""Words to weighted tokens: the same everywhere, distinct, and with a meaning where it counts."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from omnidet.data import vocabulary
from omnidet.data.vocabulary import Vocabulary, VocabularyConfig
from tests.data.words import (
    COLOURS,
    CONFIG,
    CORPUS,
    HOT_DOGS,
    SHAPES,
    build,
    ids,
    names,
    record,
    same,
    token,
)


@pytest.fixture(scope="module")
def words() -> Vocabulary:
    return build(*HOT_DOGS)


# Weights


@settings(max_examples=200, deadline=None, derandomize=True)
@given(text=st.text(max_size=40), roles=st.booleans())
def test_weights_of_any_text_sum_to_one(words, text, roles):
    try:
        found, weights = words.encode(text, roles)
    except ValueError:
        assume(False)  # without a word: tests below
    assert weights.sum() == pytest.approx(1, abs=1e-6)
    assert (weights > 0).all()
    assert (found.dtype, weights.dtype) == (np.int64, np.float32)
    assert (np.diff(found) > 0).all()
    assert 0 < found[0] <= found[-1] < words.num_tokens


def test_special_token_weighs_nothing(words):
    assert words.idf_T[0] == 0.0
    assert words.tokenizer.id_to_token(0) == "<pad>"
    assert 0 not in ids(words, "red <pad> star")
    assert same(words, "<pad> star", "star")
    with pytest.raises(ValueError, match="'<pad>' has no letter"):
        words.encode("<pad>")
    with pytest.raises(ValueError, match="'<pad>' has no letter"):
        words.encode("<pad>", False)


def test_weights_follow_document_frequency():
    """By hand: "the" is in 3 of 4 texts, "red" in 2, "star" and "circle" in 1."""
    texts = ["the red star", "the red circle", "the moon", "dog"]
    words = vocabulary.build([record(*texts)] * 2, VocabularyConfig(size=700))
    assert words.idf_T[token(words, "the")] == pytest.approx(np.log(5 / 4))
    assert words.idf_T[token(words, "red")] == pytest.approx(np.log(5 / 3))
    assert words.idf_T[token(words, "star")] == pytest.approx(np.log(5 / 2))
    found, weights = words.encode("the red star", roles=False)
    total = np.log(5 / 4) + np.log(5 / 3) + np.log(5 / 2)
    assert dict(zip(found.tolist(), weights.tolist(), strict=True)) == pytest.approx(
        {i: words.idf_T[i] / total for i in (token(words, w) for w in ("the", "red", "star"))}
    )


def test_a_word_that_is_everywhere_is_still_a_name():
    words = vocabulary.build([record("star")] * 2, CONFIG)
    assert words.idf_T[words.tokenizer.encode("star").ids].sum() == 0
    assert words.tokens("star") == [("star", 1.0)]


def test_a_word_counts_once_however_many_subwords_it_consists_of(words):
    parts = words.tokenizer.encode("zebra").ids
    assert len(parts) == 6
    found = dict(
        zip(*(part.tolist() for part in words.encode("star zebra", True, True)), strict=True)
    )
    star = found[token(words, "star")]
    assert (1 - star) / star == pytest.approx(
        words.idf_T[parts].mean() / words.idf_T[token(words, "star")], rel=1e-5
    )


def test_repeated_words_count_again(words):
    assert dict(words.tokens("star star"))["star"] == pytest.approx(1)
    once, twice = dict(words.tokens("red star")), dict(words.tokens("red red star"))
    assert twice["red"] / twice["star"] == pytest.approx(2 * once["red"] / once["star"])


# Any text


@pytest.mark.parametrize(
    "text",
    [
        "RED STAR",
        "Red  Star.",
        " red\tstar\n",
        "red-star",
        "“red” star!",
        "ｒｅｄ star",
        "red's star".replace("'s", ""),
    ],
)
def test_case_punctuation_and_space_do_not_count(words, text):
    assert same(words, text, "red star")


def test_apostrophes_join():
    words = vocabulary.build([record("mans hat", "a hat")] * 2, CONFIG)
    assert same(words, "man's hat", "mans hat")
    assert same(words, "man’s hat", "mans hat")


def test_unknown_words_have_encodings_of_their_own(words):
    texts = [
        "zebra",
        "quokka",
        "红色",
        "蓝色",
        "星星",
        "🙂",
        "🚀",
        "собака",
        "كلب",
        "7",
        "42",
        "+",
        "é",
        "e",
        "red zebra",
        "red",
    ]
    found = {tuple(words.encode(text, True, True)[0].tolist()) for text in texts}
    assert len(found) == len(texts)
    assert () not in found


@pytest.mark.parametrize(
    ("text", "heard"),
    [
        ("red zebra", "red"),
        ("zebra red quokka", "red"),
        ("star left of zebra", "star left"),
        ("dog left of rocket", "dog left"),  # a rocket was named, but never beside something
    ],
)
def test_a_word_that_no_text_held_is_left_out(words, text, heard):
    assert same(words, text, heard)
    assert not np.array_equal(words.encode(text, True, True)[0], words.encode(heard)[0])


def test_a_phrase_of_such_words_alone_stays_as_it_is(words):
    assert ids(words, "zebra") == words.encode("zebra", True, True)[0].tolist()
    assert not same(words, "zebra", "quokka")


@pytest.mark.parametrize(
    "text", ["red star", "rocket", "moon above the dog", "ground", "star left of circle"]
)
def test_words_that_texts_held_all_count(words, text):
    assert np.array_equal(words.encode(text)[0], words.encode(text, True, True)[0])
    assert all(words.heard_V[words.encode(text)[0]])


def test_what_is_looked_for_stays_whatever_stands_behind_the_relation(words):
    """Without "zebra" this would ask for anything that is left of a circle."""
    assert set(ids(words, "zebra")) <= set(ids(words, "zebra left of circle"))
    assert same(words, "zebra star left of circle", "star left of circle")


def test_the_words_of_the_smallest_data_were_heard():
    """Where every token is in a text, the rarest are no less heard."""
    one = vocabulary.build([record("x")] * 3, VocabularyConfig(size=300, min_frequency=1))
    assert one.heard_V[one.encode("x")[0]].all()
    assert one.knows("x")


def test_a_name_that_was_only_ever_absent_counts(words):
    with_lynx = build(record("dog", absent=["lynx"]))
    assert not same(with_lynx, "red lynx", "red")
    assert same(words, "red lynx", "red")


def test_a_word_of_heard_subwords_counts():
    """The letters of a word that texts held in parts mean what these texts taught."""
    rare = vocabulary.build([*CORPUS, record("abc")] * 2, VocabularyConfig(size=257))
    assert not same(rare, "red cab", "red")
    assert same(rare, "red jazz", "red")  # no text held a z


def test_where_words_were_not_counted_all_count(words):
    before = Vocabulary(words.tokenizer, words.idf_T, words.blocks, words.names)
    assert np.array_equal(before.encode("red zebra")[0], words.encode("red zebra", True, True)[0])
    assert before.content_hash != words.content_hash


@pytest.mark.parametrize("text", ["", "  ", "???", "...", "—", "\u200b", "''"])
@pytest.mark.parametrize("roles", [True, False])
def test_text_without_a_word_is_refused(words, text, roles):
    with pytest.raises(ValueError, match=r"the phrase .* has no letter"):
        words.encode(text, roles)


def test_names_that_are_the_same_are_named(words):
    words.check_names(
        [
            "red star",
            "blue star",
            "star",
            "hot dog",
            "dog",
            "star left of circle",
            "circle left of star",
        ]
    )
    with pytest.raises(ValueError, match="'red star' and 'Star, RED'"):
        words.check_names(["dog", "red star", "moon", "Star, RED"])
    with pytest.raises(ValueError, match="'!'"):
        words.check_names(["dog", "!"])


# Whole names


def test_misleading_name_gets_a_token_of_its_own(words):
    assert words.tokens("hot dog") == [("hot dog", pytest.approx(1))]
    assert not set(ids(words, "hot dog")) & {*ids(words, "dog"), *ids(words, "hot")}
    assert same(words, "Hot-Dog!", "hot dog")
    assert names(words, "the hot dog left of a dog") >= {"hot dog", "dog (context)"}


def test_red_star_stays_compositional(words):
    for colour in COLOURS:
        for shape in SHAPES:
            assert set(ids(words, f"{colour} {shape}")) == {
                token(words, colour),
                token(words, shape),
            }


def test_red_hot_dog_is_red_and_hot_dog(words):
    assert set(ids(words, "red hot dog")) == {token(words, "red"), token(words, "hot dog")}
    assert token(words, "hot dog") == token(words, "HOT DOG")


def test_the_same_bag_of_words_needs_a_token():
    words = build(record("dog house", absent=["house dog"]))
    assert names(words, "dog house") == {"dog house"}
    assert names(words, "house dog") == {"house", "dog"}
    words.check_names(["dog house", "house dog"])


def test_a_name_within_a_longer_word_is_left_alone(words):
    assert token(words, "hot dog") not in ids(words, "hot dogma")
    assert token(words, "hot dog") not in ids(words, "shot dog")


# Context


def test_order_about_a_relation_counts(words):
    one, other = "star left of circle", "circle left of star"
    assert not same(words, one, other)
    half = words.num_tokens // 2
    assert set(ids(words, one)) == {
        token(words, "star"),
        token(words, "left"),
        token(words, "circle") + half,
    }
    assert set(ids(words, other)) == {
        token(words, "circle"),
        token(words, "left"),
        token(words, "star") + half,
    }
    assert ("circle (context)") in names(words, one)


def test_no_context_without_a_relation(words):
    half = words.num_tokens // 2
    for text in ("left star", "red star", "star", "left of star"):
        assert max(ids(words, text)) < half


def test_captions_have_no_roles(words):
    half = words.num_tokens // 2
    assert max(ids(words, "star left of circle", roles=False)) < half
    assert ids(words, "star left of circle", roles=False) == ids(
        words, "circle left of star", roles=False
    )
    assert max(ids(words, "star left of circle")) >= half


# Tables


def rows(table):
    ends = [*table.offsets_P.tolist()[1:], len(table.token_ids_K)]
    return [
        (table.token_ids_K[a:b], table.weights_K[a:b])
        for a, b in zip(table.offsets_P.tolist(), ends, strict=True)
    ]


def test_table_is_what_encode_says(words):
    items = [
        ("red star", True),
        ("star left of circle", True),
        ("star left of circle", False),
        ("hot dog", True),
        ("zebra", True),
    ]
    table = words.table(items)
    assert len(table) == 5
    assert (table.token_ids_K.dtype, table.weights_K.dtype, table.offsets_P.dtype) == (
        torch.int64,
        torch.float32,
        torch.int64,
    )
    for item, (found, weights) in zip(items, rows(table), strict=True):
        expected = words.encode(*item)
        assert found.tolist() == expected[0].tolist()
        assert weights.tolist() == expected[1].tolist()
    assert rows(words.table(text for text in ("red star",)))[0][0].tolist() == ids(
        words, "red star"
    )


def test_empty_table(words):
    table = words.table([])
    assert len(table) == 0
    assert (table.token_ids_K.dtype, table.weights_K.dtype, table.offsets_P.dtype) == (
        torch.int64,
        torch.float32,
        torch.int64,
    )


def test_table_gives_the_weighted_mean_of_token_rows(words):
    rows_TD = torch.randn(words.num_tokens, 3, generator=torch.Generator().manual_seed(0))
    table = words.table(["red star", "dog"])
    pooled = torch.nn.functional.embedding_bag(
        table.token_ids_K, rows_TD, table.offsets_P, mode="sum", per_sample_weights=table.weights_K
    )
    found, weights = words.encode("red star")
    torch.testing.assert_close(
        pooled[0], torch.from_numpy(weights) @ rows_TD[torch.from_numpy(found)]
    )


def test_size_is_a_bound():
    words = vocabulary.build([*CORPUS] * 2, VocabularyConfig(size=270))
    assert words.num_tokens <= 2 * 270
    assert vocabulary.build([record()], VocabularyConfig()).num_tokens >= 2 * 256, (
        "bytes are always there"
    )
