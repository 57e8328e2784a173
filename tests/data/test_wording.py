"""What a phrase asks for, whatever is said around it."""

from __future__ import annotations

import pytest

from omnidet.data.wording import (
    plain,
    unframed,
    variants,
    with_plain_colour,
    with_short_side,
    without_glue,
)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("  Red\tSTAR, (big)! ", "red star big"),
        ("t-shirt", "t shirt"),
        ("man's hat", "mans hat"),
        ("man’s  “hat”", "mans hat"),
        ("ｒｅｄ", "red"),
        ("C++ $5", "c++ $5"),
        ("红色、星星", "红色 星星"),
        ("...", ""),
    ],
)
def test_plain_words(text, expected):
    assert plain(text) == expected
    assert plain(expected) == expected


@pytest.mark.parametrize(
    "frame",
    [
        "a photo of {}",
        "a bad, low-resolution photograph of {}",
        "a black and white picture showing {}",
        "close-up of {}",
        "an image that shows {}",
        "show me {}",
        "Please find {}",
        "can you spot all {}",
        "Could you please locate {}?",
        "where is {}",
        "there is {} in this picture",
        "There's {}",
        "here you see {}",
        "I am looking for {}",
        "{} in the photo",
        "{}, please",
        "{} you can see",
        "show me a photo of {}",
        "{} here",
        "{} in here",
        "{} over there",
        "{} that's here",
        "detect {} in image",
        "find {} in an image",
        "{} that are in the image",
        "find me every {} you can",
        "find every {} that you can find",
        "show only {}",
        "show me only the {}",
        "only {}",
        "all {} there are",
        "all {} that there are",
        "how many {} are there in this picture?",
        "{}, if there are any",
        "I'd like to see {}",
        "help me find {}",
        "let's find {} for me, thanks",
        "draw boxes around {}",
        "what about {}?",
        "{} visible in the image",
        "all {} that can be seen",
    ],
)
@pytest.mark.parametrize("words", ["red star", "the dog left of a red star"])
def test_what_only_asks_is_left_out(frame, words):
    asked = unframed(plain(frame.format(words)))
    glue = ("all ", "every ", "a ", "an ", "the ")
    while asked.startswith(glue) and asked != words:
        asked = asked.partition(" ")[2]
    assert asked == words


@pytest.mark.parametrize(
    "name",
    [
        *("photo", "a photo", "picture frame", "photo of", "show jumping horse", "spot light"),
        *("find", "view finder", "give way sign", "please", "point guard", "image sensor"),
        *("man in the picture frame", "close up", "see saw", "here", "what is it", "sketch book"),
        *("dog beside photo of cat", "color picker", "black and white cat", "see through bag"),
        *("show jumper", "detector", "tin can", "only", "show only", "doctor who", "display case"),
        *("man in a picture", "just married sign", "count dracula", "outline map", "get well card"),
        *("person seen from behind", "box on box"),
    ],
)
def test_names_with_the_same_words_stay(name):
    assert unframed(name) == name


@pytest.mark.parametrize(
    ("words", "left"),
    [
        ("the red star", "red star"),
        ("star that is red", "star red"),
        ("star thats red", "star red"),
        ("star whichs left of", "star left of"),
        ("black and white cat", "black white cat"),
        ("star shaped object", "star"),
        ("the object", "object"),
        ("letter a", "letter a"),
        ("the", "the"),
        ("of the", "of the"),
        ("bottle without a cap", "bottle without cap"),
        ("light on", "light on"),
    ],
)
def test_glue_says_nothing_unless_nothing_follows(words, left):
    split = words.split()
    assert " ".join(split[i] for i in without_glue(split, set())) == left


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("heart in white", "heart white"),
        ("heart in dark red and white", "heart dark red and white"),
        ("heart in white below dog", "heart white below dog"),
        ("heart white in colour", "heart white"),
        ("heart of white color", "heart of white"),
        ("heart in a red color", "heart a red"),
        ("man in white shirt", "man in white shirt"),
        ("man in a red hat", "man in a red hat"),
        ("person in orange vest", "person in orange vest"),
        ("red color picker", "red color picker"),
        ("in white", "in white"),
    ],
)
def test_a_thing_in_a_colour_has_the_colour(text, said):
    assert with_plain_colour(text) == said


def test_names_keep_their_glue():
    words = ["red", "and", "gate"]
    assert without_glue(words, {1, 2}) == [0, 1, 2]
    assert without_glue(words, set()) == [0, 2]


def test_sides_are_said_in_one_way():
    for relation in (
        "left of",
        "to the left of",
        "on the left side of",
        "at the left hand side of",
        "at left of",
        "left from",
        "to the left to",
    ):
        assert with_short_side(f"star {relation}") == "star left of"
    assert with_short_side("star next to") == "star next to"
    assert with_short_side("the left star above") == "the left star above"


@pytest.mark.parametrize(
    ("one", "many"),
    [
        *(("star", "stars"), ("cross", "crosses"), ("box", "boxes"), ("baby", "babies")),
        *(("person", "people"), ("child", "children"), ("leaf", "leaves"), ("potato", "potatoes")),
        *(("horse", "horses"), ("bus", "buses"), ("tie", "ties"), ("movie", "movies")),
        *(("grey", "gray"), ("key", "keys")),
    ],
)
def test_forms_of_a_word_find_each_other(one, many):
    assert many in variants(one)
    assert one in variants(many)


@pytest.mark.parametrize("word", ["glasses", "shorts", "scissors", "7", "a", "红色", "c++"])
def test_words_without_another_form(word):
    assert variants(word) == ()


def test_a_singular_that_ends_as_plurals_do_is_not_cut():
    for word in ("cross", "bus", "tennis", "glass"):
        assert word[:-1] not in variants(word)
    assert "glasses" not in variants("glass")
