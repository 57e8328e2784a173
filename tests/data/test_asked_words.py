"""Which words of a phrase count, and in which form."""

from __future__ import annotations

import pickle

import pytest

from omnidet.data.asked_words import AskedWords
from omnidet.data.vocabulary import Vocabulary
from tests.data.words import HOT_DOGS, build, ids, names, record, same

WEIGHTS = {"star": 2.0, "stars": 3.0, "dogs": 2.5, "person": 1.0, "people": 4.0, "sport": 1.0} | {
    "sports": 3.0,
    "red": 1.0,
    "gate": 2.0,
    "gray": 2.0,
}


def asked(names=()):
    return AskedWords(names, WEIGHTS.get)


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("A photo of the red Stars!", ("red star", "")),
        ("dog", ("dogs", "")),
        ("grey dog", ("gray dogs", "")),
        ("the star to the left of the dogs", ("star left", "dogs")),
        ("quokkas", ("quokkas", "")),
        ("the", ("the", "")),
        ("", ("", "")),
        ("that", ("that", "")),
    ],
)
def test_words_that_count_in_the_form_that_most_texts_hold(text, parts):
    assert asked().parts(text) == parts


def test_words_of_class_names_are_the_form():
    words = asked(["sports ball"])
    assert words.parts("sport")[0] == "sports"
    assert words.parts("sports")[0] == "sports"
    assert asked().parts("sports")[0] == "sport"


def test_names_that_would_be_the_same_are_taken_word_for_word():
    words = asked(["Person", "people", "AND gate", "or gate", "red star"])
    assert words.apart == {"person", "people", "and gate", "or gate"}
    assert words.parts("a photo of people")[0] == "people"
    assert words.parts("person")[0] == "person"
    assert words.parts("the red and gate")[0] == "red and gate"
    assert words.parts("red or stars")[0] == "red star"
    assert asked(["people", "star"]).apart == frozenset()


class Counted(str):
    """A word that counts how often it is compared."""

    __slots__ = ()
    comparisons = 0

    def __eq__(self, other):
        Counted.comparisons += 1
        return str(self) == other

    __hash__ = str.__hash__


def test_names_are_looked_for_only_where_their_first_word_stands():
    """However many names there are: a long text costs its own length."""
    kinds = [f"{first} of {second}" for first in "bcdfg" for second in "hjklm"]
    words = asked([*kinds, *(kind.replace(" of ", " ") for kind in kinds)])
    assert len(words.apart) == 2 * len(kinds)
    Counted.comparisons = 0
    text = [Counted("star")] * 1000 + [Counted("b"), Counted("of"), Counted("h")]
    assert words._places_of_names(text) == {1000, 1001, 1002}
    assert Counted.comparisons < 2 * len(text)


def test_a_name_that_reads_like_a_request_is_a_name():
    words = asked(["see saw", "saw"])
    assert words.parts("see saw")[0] == "see saw"
    assert asked(["photo of person", "person"]).parts("photo of person")[0] == "photo person"


def test_a_name_that_ends_like_a_request_is_a_name():
    words = asked(["sign here", "sign", "men in black", "only child"])
    for name in ("sign here", "only child"):
        assert words.parts(name)[0] == name
    assert words.parts("men in black")[0] == "men in black"
    assert words.parts("the white sign here")[0] == "white sign"
    assert words.parts("the men in black")[0] == "men black"


@pytest.mark.parametrize(
    ("text", "words"),
    [("A/C unit", "a c unit"), ("a type-A plug", "a type a plug"), ("a T-shirt", "t shirt")],
)
def test_a_letter_is_no_article(text, words):
    assert asked().parts(text)[0] == words


# In a vocabulary


@pytest.fixture(scope="module")
def words() -> Vocabulary:
    return build(*HOT_DOGS)


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
        "a star that's red",
        "a star that\u2019s red",
        "star in red",
        "star that is red in colour",
        "red star here",
        "detect red star in image",
        "find me every red star you can",
        "show only red stars",
        "all red stars there are",
        "there's a red star",
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
        "star that's left of the circle",
        "star which's to the left of the circle",
        "star at left of circle",
        "star left from circle",
        "star left to circle",
    ):
        assert same(words, text, "star left of circle"), text
    assert not same(words, "star right of circle", "star left of circle")


def test_plurals_of_whole_names_are_found(words):
    assert names(words, "red hot dogs") == {"red", "hot dog"}


def test_words_that_no_text_held_do_not_become_others(words):
    assert len(ids(words, "zebra")) > 1
    assert not same(words, "zebras", "zebra")  # neither is known: neither stands for the other


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
