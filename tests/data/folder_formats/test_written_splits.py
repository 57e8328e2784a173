"""Words that say the split of a picture."""

from __future__ import annotations

import pytest

from omnidet.data.folder_formats.written_splits import splits_of


@pytest.mark.parametrize(
    ("word", "split"),
    [
        ("train", "train"),
        (" Validation ", "val"),
        ("TEST", "test"),
        ("train2017", "train"),
        ("test_1", "test"),
        ("eval", "test"),
        ("UNASSIGNED", ""),
        ("Default", ""),
        ("", ""),
    ],
)
def test_words_for_a_split_and_for_none(word, split):
    assert splits_of([(word, "line 1")], "the column 'split'", True) == ({word: split}, "")


@pytest.mark.parametrize("is_split", [True, False])
def test_a_word_that_is_none_beside_others_is_refused(is_split):
    written = [("train", "a.csv, line 2"), ("tets", "a.csv, line 3"), ("tets", "a.csv, line 4")]
    with pytest.raises(ValueError, match=r"a\.csv, line 3: 'tets' in .*'split'.*write one of"):
        splits_of(written, "the column 'split'", is_split)


def test_what_says_no_split_at_all_is_said_unless_it_can_say_nothing_else():
    written = [("factory", "line 1"), ("lab", "line 2"), ("", "line 3")]
    found, note = splits_of(written, "the column 'dataset'", False)
    assert set(found.values()) == {""}
    assert "'dataset'" in note
    assert "'factory'" in note
    with pytest.raises(ValueError, match="'factory'"):
        splits_of(written, "the column 'split'", True)
