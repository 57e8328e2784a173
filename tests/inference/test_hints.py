"""What people are told of their words, whatever detector they ask."""

from __future__ import annotations

from omnidet.data import vocabulary
from omnidet.data.vocabulary import VocabularyConfig
from omnidet.inference import hints, names
from omnidet.schema import Record
from tests import toys


def _of_words(*phrases):
    return hints.of_words(toys.toy_vocabulary(), names.wanted(phrases))


def test_several_phrases_in_one_and_odd_letters_are_said():
    several, odd = hints.of_spelling(["star, ring", "red", "st\u0430r"])
    assert "'star', 'ring'" in several
    assert "CYRILLIC" in odd
    assert hints.of_spelling(["star", "ring"]) == []


def test_own_names_are_listed_as_far_as_they_fit():
    assert hints.of_own_names(["ring", "star"]).endswith("looking for ring, star")
    assert hints.of_own_names(list("abcdefghijk")).endswith("g, h and 3 more")


def test_unknown_words_are_said_with_their_phrase():
    (line,) = _of_words("red xylophone", "red star")
    assert "'xylophone'" in line
    assert "'red xylophone'" in line


def test_a_word_that_was_never_heard_is_said_to_be_left_out():
    (left_out,) = _of_words("red xylophone")
    assert "left out" in left_out
    (alone,) = _of_words("xylophone")
    assert "'xylophone'" in alone
    assert "left out" not in alone
    (head,) = _of_words("xylophone left of star")
    assert "left out" not in head
    (behind,) = _of_words("red star left of xylophone")
    assert "'xylophone' behind a relation" in behind
    line = next(line for line in _of_words("red xylophone", "red zither") if "the same" in line)
    assert "'red zither'" in line


def test_a_name_that_the_detector_takes_for_one_word_is_said_where_its_words_are_not_known():
    records = [
        Record(b"", 1, 1, "toy", f"toy:{n}", phrases=phrases, absent=absent)
        for n, (phrases, absent) in enumerate(
            [(("hot dog",), ("dog",)), (("dog",), ("hot dog",)), (("red star",), ())]
        )
    ]
    names_of_data = ("hot dog", "dog", "red star")
    built = vocabulary.build(records, VocabularyConfig(size=400, min_frequency=1), names_of_data)
    (alone,) = hints.of_words(built, names.wanted(["hot"]))
    assert "'hot dog' for one word" in alone
    assert hints.of_words(built, names.wanted(["hot dog", "red"])) == []
    (other,) = hints.of_words(built, names.wanted(["hat"]))
    assert "one word" not in other


def test_a_class_as_its_dataset_spells_it_is_said_in_words():
    (line,) = _of_words("RedStar")
    assert line.endswith("ask for 'red star', which it knows")
    (line,) = _of_words("RedXylophone")
    assert "ask for" not in line


def test_a_program_is_warned_of_the_same():
    vocabulary = toys.toy_vocabulary()
    several, unheard = hints.of_call(vocabulary, ["star, ring", "red xylophone"])
    assert "'star', 'ring'" in several
    assert "'xylophone'" in unheard
    assert hints.of_call(None, ["red xylophone"]) == []
    (again,) = hints.of_call(None, ["star", "ring", "star"])
    assert "'star'" in again
    assert "'ring'" not in again


def test_of_many_unknown_words_the_first_are_named_and_the_others_counted():
    found = _of_words("red star", *(f"red xylophone{n}" for n in range(3000)))
    assert any("'xylophone0'" in line for line in found)
    assert "2995 more phrases" in found[-1]
    assert len(found) < 15
    assert max(map(len, found)) < 400


def test_long_words_and_phrases_are_shortened():
    long = "x" * 5000
    several = f"{long}, {long}y"
    lines = [*_of_words(long, f"red {long}"), *hints.of_spelling([several, long + "\u200b"])]
    lines += hints.of_unfound([long], {long: 0.5}, {}) + hints.of_found_nowhere([long] * 9)
    lines += hints.of_spelling([", ".join(f"word{n}" for n in range(1000))])
    assert len(lines) >= 7
    assert max(map(len, lines)) < 500
    assert "'word0'" in lines[-1]
    assert "and 995 more" in lines[-1]


def test_names_under_which_nothing_means_anything():
    vocabulary = toys.toy_vocabulary()
    asked = [*names.wanted(["xylophone", "red xylophone", "star"])]
    asked += [names.Name("zither", ("zither", "lute")), names.Name("odd", ("zither", "star"))]
    assert hints.without_meaning(vocabulary, asked) == {"xylophone", "zither"}


def test_one_thing_under_two_names_is_said_once():
    (line,) = _of_words("red star", "the red stars", "a photo of a red star")
    assert "'red star'" in line
    assert "'the red stars'" in line
    assert "1 more name" in line
    (pair,) = _of_words("red star", "the red stars")
    assert "more" not in pair


def test_two_phrases_of_one_name_are_meant():
    one = names.Name("star", ("red star", "red stars"))
    assert hints.of_words(toys.toy_vocabulary(), [one]) == []


def test_the_threshold_that_would_show_a_name_is_said():
    best = {"dog": 0.50289, "star": 0.4, "ring": 0.00004}
    dog, star, ring = hints.of_unfound(["dog", "star", "ring"], best, {"star": 0.9})
    assert "'dog'" in dog
    assert "--threshold 0.502 " in dog
    assert "'star'" in star
    assert "0.9" in star
    assert "--threshold" not in star
    assert "4e-05" in ring
    assert "--threshold" not in ring


def test_a_landmark_that_is_not_found_is_said_with_its_phrase_and_score():
    asked = ["star left of ring", "star above circle", "red star", "star below zither"]
    best = {"ring": 0.0123, "circle": 0.6}
    (line,) = hints.of_landmarks(asked, best, 0.3)
    assert "'star left of ring'" in line
    assert "'ring' (best score 0.012)" in line
    assert len(hints.of_landmarks(asked, best, 0.7)) == 2
