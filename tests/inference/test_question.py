"""What may be asked: phrases and thresholds, refused by name."""

from __future__ import annotations

import math

import numpy as np
import pytest

from omnidet.inference import question


@pytest.mark.parametrize(
    ("given", "phrases"),
    [
        ("red star", ("red star",)),
        (["red star"], ("red star",)),
        (("a", "b"), ("a", "b")),
        ((word for word in "ab"), ("a", "b")),
        (np.array(["a", "b"]), ("a", "b")),
        ([], ()),
    ],
)
def test_phrases_are_texts_in_any_list(given, phrases):
    assert question.checked_phrases(given) == phrases


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ([["red star", "ring"]], ["phrase 0", "list", "'ring'"]),
        (["a", ("b", "c")], ["phrase 1", "tuple"]),
        (["a", 3], ["phrase 1 is 3", "int"]),
        (["a", None], ["phrase 1 is None"]),
        (["a", b"b"], ["phrase 1", "bytes"]),
        (b"red star", ["bytes"]),
        ({"phrases": ["lock bolt"], "threshold": 0.4}, ["dict", "'threshold'"]),
        (7, ["int"]),
        (["a", ""], ["phrase 1 is empty"]),
        (["  ", "a"], ["phrase 0 is empty"]),
        (["a\ud800"], ["phrase 0", "surrogate"]),
        ([list(range(1000))], ["phrase 0", "..."]),
    ],
)
def test_what_is_not_a_phrase_is_named(given, words):
    with pytest.raises(ValueError, match="phrase") as caught:
        question.checked_phrases(given)
    assert all(word in str(caught.value) for word in words)
    assert len(str(caught.value)) < 120


@pytest.mark.parametrize("given", [0, 0.0, 0.3, 1, np.float32(0.5)])
def test_a_threshold_is_a_score(given):
    assert question.checked_threshold(given) == float(given)


@pytest.mark.parametrize("given", [math.nan, -0.1, 1.01, 30, math.inf, "0.3", None, True, [0.3]])
def test_what_is_not_a_score_is_refused(given):
    with pytest.raises(ValueError, match="--threshold") as caught:
        question.checked_threshold(given, "--threshold")
    assert repr(given) in str(caught.value)


@pytest.mark.parametrize("given", [10**400, -(10**400), pytest.param(10**5000, id="huge")])
def test_numbers_too_large_to_write_out_are_refused_in_a_line(given):
    for check in (question.checked_threshold, lambda value: question.checked_count([value], "n")):
        with pytest.raises(ValueError, match=": give a") as caught:
            check(given)
        assert len(str(caught.value)) < 200


@pytest.mark.parametrize(
    ("phrase", "parts"),
    [
        ("cat . dog .", ["'cat'", "'dog'"]),
        ("cat. dog.", ["'cat'", "'dog'"]),
        ("red cat . a dog", ["'red cat'", "'a dog'"]),
        ("cat, dog", ["'cat'", "'dog'"]),
        ("cat; red dog;", ["'cat'", "'red dog'"]),
        ("cat,dog", ["'cat'", "'dog'"]),
    ],
)
def test_a_phrase_that_reads_like_a_list_gets_a_hint(phrase, parts):
    said = question.hint(["ring", phrase])
    assert said is not None
    assert repr(phrase) in said
    assert said.endswith(": " + ", ".join(parts))


@pytest.mark.parametrize(
    "phrase",
    [
        "red star",
        "a man on a horse.",
        "Mt. Fuji",
        "the 1,000 dollar bill",
        "a man in a red shirt, a blue hat and white shoes",
        "star left of circle",
        "3.5 mm plug",
    ],
)
def test_a_description_gets_no_hint(phrase):
    assert question.hint([phrase]) is None


def test_of_many_words_the_first_are_listed():
    assert question.listed(["a", "b", "a"]) == "'a', 'b'"
    assert question.listed("abcdefg") == "'a', 'b', 'c', 'd', 'e' and 2 more"
    assert len(question.listed(["x" * 5000] + [f"{n}" * 5000 for n in range(99)])) < 600


def test_a_long_text_is_shortened():
    assert question.shortened("ring") == "ring"
    assert question.shortened("x" * 200) == "x" * 99 + "\u2026"


def test_phrases_that_come_twice_are_named():
    question.require_distinct(["a", "b", "A"])
    assert question.twice(["a", "b", "A"]) is None
    with pytest.raises(ValueError, match="'a' comes twice"):
        question.require_distinct(["a", "b", "a"])
    said = question.twice(["a", "b", "c", "a", "b"])
    assert said is not None
    assert "'a', 'b'" in said
    assert "'c'" not in said
