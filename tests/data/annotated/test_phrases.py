"""Names as people type them are the phrases that the vocabulary knows."""

from __future__ import annotations

import json

import pytest

from omnidet.data.annotated.phrases import doubts, phrases, read_table


def test_a_table_maps_names_and_may_make_several_one():
    names = ("BoltWasher", "washer_small", "nut")
    given = {"BoltWasher": "washer", "washer_small": "washer"}
    assert phrases(names, given, "data") == {
        "BoltWasher": "washer", "washer_small": "washer", "nut": "nut",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("names", "given", "value"),
    [
        (("BoltWasher", "bolt_washer"), {}, "bolt_washer"),
        (("cat", "???"), {}, r"\?\?\?"),
        (("cat",), {"dog": "hound"}, "dog"),
    ],
)
def test_names_that_cannot_be_told_apart_or_have_no_words(names, given, value):
    with pytest.raises(ValueError, match=value):
        phrases(names, given, "data")


def test_the_file_of_a_table(tmp_path):
    (tmp_path / "names.yaml").write_text("BoltWasher: lock washer\n7: seven\nno: negative\n")
    assert read_table(tmp_path / "names.yaml") == {
        "BoltWasher": "lock washer", "7": "seven", "no": "negative",
    }  # fmt: skip


def test_the_file_of_a_table_in_json(tmp_path):
    table = {"🐶": "dog", "b": "𠮷"}
    (tmp_path / "names.json").write_text(json.dumps(table))  # in escapes of 16 bits
    assert read_table(tmp_path / "names.json") == table


@pytest.mark.parametrize(
    "text", ["- a\n- b\n", "a: [1]\n", "a: '  '\n", "{", "a: ''\n", "a: b\na: c\n"]
)
def test_a_file_that_is_no_table(tmp_path, text):
    (tmp_path / "names.yaml").write_text(text)
    with pytest.raises(ValueError, match=r"names\.yaml"):
        read_table(tmp_path / "names.yaml")


def test_a_background_that_somebody_drew_is_said():
    (said,) = doubts([["_background_", "cat"], ["_background_"]])
    for part in ("'_background_'", "2 boxes", "take these out"):
        assert part in said
    assert doubts([["cat"], ["dog"]]) == []


@pytest.mark.parametrize(
    ("pictures", "is_said"),
    [
        ([["cat-1", "cat-2"], ["cat-1", "dog 1", "dog 2"]], True),
        ([["cat-1", "cat-2"], ["cat-1", "cat-1", "dog 1", "dog 2"]], False),  # two of a kind
        ([["M8", "7"], ["R2D2", "bolt"]], False),
        ([["cat-1"], ["cat-2"]], False),
        ([["cat-1"], ["cat-1", "cat-2"], ["cat-1", "cat-2", "cat-3"]], True),
        ([["cat-1"], ["cat-2"], ["cat-3"]], True),  # counted over all pictures
        ([["grade 1"], ["grade 2"], ["grade 3"], ["grade 3"], ["grade 2"]], False),
    ],
)
def test_numbers_of_things_in_their_names_are_said(pictures, is_said):
    said = "".join(doubts(pictures))
    assert ("--names" in said) == is_said
    assert ("`cat-1: cat`" in said) == is_said


def test_names_that_are_all_numbers_are_said():
    assert "numbers for names" in "".join(doubts([["0", "1"]]))
    assert "numbers for names" in "".join(doubts([["0.0", "1.0"]]))
    assert doubts([["7", "cat"]]) == []


@pytest.mark.parametrize(
    ("names", "part"),
    [
        (["bird"] * 20 + ["brid"], "`brid: bird`"),
        (["cat", "c\u0430t"], "several alphabets"),
        (["bird"] * 5 + ["brid"], ""),  # not so rare
        (["bird"] * 20 + ["birds"], "`birds: bird`"),
        (["bolt"] * 20 + ["bolt8"], ""),
        (["boat"] * 20 + ["goat"], ""),
        (["кошка", "cat"], ""),
        (["QR-код", "β-catenin", "5μm bead"], ""),
        (["bird"] * 20 + ["birds"], "if it means the same"),
    ],
)
def test_names_that_look_like_another_are_said(names, part):
    said = "".join(doubts([[name] for name in names]))
    assert part in said
    assert bool(said) == bool(part)
