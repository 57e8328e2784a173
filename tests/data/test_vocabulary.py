"""Words to weighted tokens: the same everywhere, distinct, and with a meaning where it counts."""

from __future__ import annotations

import json
import pickle
import subprocess
import sys

import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from safetensors.numpy import load_file, save_file
from transformers import AutoTokenizer, PreTrainedTokenizerFast

from omnidet.data import vocabulary
from omnidet.data.vocabulary import Vocabulary, VocabularyConfig
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


@pytest.fixture(scope="module")
def words() -> Vocabulary:
    return build(*HOT_DOGS)


@pytest.fixture(scope="module")
def folder(words, tmp_path_factory):
    path = tmp_path_factory.mktemp("vocabulary")
    words.save(path)
    return path


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


# Files


def test_transformers_gives_the_same_ids(words, folder):
    loaded = AutoTokenizer.from_pretrained(folder)
    texts = [p for r in (*CORPUS, *HOT_DOGS) for p in r.phrases] + [
        "Unseen Zebra!",
        "红色 🙂",
        "the HOT dog.",
        "hot dogs",
    ]
    for text in texts:
        assert loaded(text)["input_ids"] == words.tokenizer.encode(text).ids, text
        assert set(loaded(text)["input_ids"]) == set(ids(words, text, roles=False)), text
    assert len(loaded) * 2 == words.num_tokens
    assert loaded.pad_token_id == 0


def test_transformers_writes_the_same_settings(words, folder, tmp_path):
    """`save` writes them itself, so that building a vocabulary needs no transformers."""
    theirs = PreTrainedTokenizerFast(tokenizer_object=words.tokenizer, pad_token="<pad>")
    theirs.save_pretrained(tmp_path)
    name = "tokenizer_config.json"
    assert (folder / name).read_bytes() == (tmp_path / name).read_bytes()
    assert {p.name for p in tmp_path.iterdir()} == {name, "tokenizer.json"}


def test_loaded_is_the_same(words, folder):
    loaded = Vocabulary.load(folder)
    assert loaded.content_hash == words.content_hash
    assert loaded.num_tokens == words.num_tokens
    for text in ("red hot dog", "star left of circle", "zebra"):
        assert np.array_equal(loaded.encode(text)[0], words.encode(text)[0])
        assert np.array_equal(loaded.encode(text)[1], words.encode(text)[1])


def test_hash_is_stable_over_builds(words):
    assert build(*HOT_DOGS).content_hash == words.content_hash
    assert build().content_hash != words.content_hash


@pytest.mark.slow
def test_hash_is_stable_over_processes(words):
    script = "from tests.data.test_vocabulary import *; print(build(*HOT_DOGS).content_hash)"
    for seed in ("1", "2"):
        done = subprocess.run(
            [sys.executable, "-c", script],
            capture_output=True,
            text=True,
            env={"PYTHONHASHSEED": seed},
        )
        assert done.stdout.strip() == words.content_hash, done.stderr


def change_weights(folder):
    idf = load_file(folder / "idf.safetensors")["idf"].copy()
    idf[5] += 1e-3
    save_file({"idf": idf}, folder / "idf.safetensors")


def change_tokens(folder):
    path = folder / "tokenizer.json"
    path.write_text(path.read_text().replace("hot dog", "hot dgo"))


def change_hash(folder):
    facts = json.loads((folder / "vocabulary.json").read_text())
    (folder / "vocabulary.json").write_text(json.dumps(facts | {"content_hash": "0" * 64}))


@pytest.mark.parametrize("change", [change_weights, change_tokens, change_hash])
def test_changed_file_is_refused(words, tmp_path, change):
    words.save(tmp_path)
    Vocabulary.load(tmp_path)
    change(tmp_path)
    with pytest.raises(ValueError, match=f"{tmp_path} was changed"):
        Vocabulary.load(tmp_path)


@pytest.mark.parametrize("name", ["tokenizer.json", "idf.safetensors", "vocabulary.json"])
def test_missing_file_is_named(words, tmp_path, name):
    words.save(tmp_path)
    (tmp_path / name).unlink()
    with pytest.raises(FileNotFoundError, match=f"{tmp_path}/{name} .*`omnidet vocabulary`"):
        Vocabulary.load(tmp_path)


def test_pickled_for_the_workers(words):
    words.encode("red star")
    copy = pickle.loads(pickle.dumps(words))
    assert copy.content_hash == words.content_hash
    assert same(copy, "red star", "red star")
    assert np.array_equal(
        copy.encode("red hot dog left of the star")[1],
        words.encode("red hot dog left of the star")[1],
    )


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
        ("zebra left of circle", "quokka left of circle"),
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


# Wording


@pytest.mark.parametrize(
    "text",
    [
        "the red star",
        "red stars",
        "A photo of a RED star!",
        "an image showing red stars",
        "show me the red star, please",
        "star that is red",
        "a red, star-shaped object",
    ],
)
def test_the_same_said_otherwise_is_the_same(words, text):
    assert same(words, text, "red star")


def test_wording_counts_in_captions(words):
    assert ids(words, "the red star", roles=False) != ids(words, "red star", roles=False)


def test_a_relation_said_otherwise_is_the_same(words):
    for text in (
        "the star to the left of a circle",
        "Stars left-of circles",
        "star on the left side of the circle",
        "a picture of a star which is on the left hand side of the circle",
    ):
        assert same(words, text, "star left of circle"), text
    assert not same(words, "star right of circle", "star left of circle")


def test_plurals_of_whole_names_are_found(words):
    assert names(words, "red hot dogs") == {"red", "hot dog"}


def test_words_that_no_text_held_do_not_become_others(words):
    assert len(ids(words, "zebra")) > 1
    assert not same(words, "zebras", "zebra")  # neither is known: neither stands for the other


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


def test_names_that_wording_would_make_the_same_are_told_apart():
    crowd = record("people", absent=["person"])
    words = build(crowd, record("or gate", absent=["and gate"]))
    assert not same(words, "person", "people")
    words.check_names(["person", "people", "and gate", "or gate"])
    assert same(words, "a photo of the people", "people")
    copies = (
        pickle.loads(pickle.dumps(words)),
        Vocabulary(words.tokenizer, words.idf_T, words.blocks).with_names(
            ["person", "people", "and gate", "or gate"]
        ),
    )
    for copy in copies:
        assert not same(copy, "person", "people")
    plain = Vocabulary(words.tokenizer, words.idf_T, words.blocks)
    assert same(plain, "person", "people")


def test_names_are_part_of_the_hash_and_of_the_files(tmp_path):
    words = vocabulary.build([*CORPUS] * 2, CONFIG, ["Skis"])
    assert "skis" in words.names
    assert {f"{c} {s}" for c in COLOURS for s in SHAPES} <= set(words.names)
    assert words.content_hash != build().content_hash
    words.save(tmp_path)
    assert Vocabulary.load(tmp_path).names == words.names
    facts = json.loads((tmp_path / "vocabulary.json").read_text())
    (tmp_path / "vocabulary.json").write_text(json.dumps(facts | {"names": ["ski"]}))
    with pytest.raises(ValueError, match="was changed"):
        Vocabulary.load(tmp_path)
