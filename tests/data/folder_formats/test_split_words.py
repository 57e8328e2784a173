"""Words for a part of a dataset, as tools and people write them."""

from __future__ import annotations

from pathlib import Path

import pytest

from omnidet.data.folder_formats.folder import key, split_of_folders
from omnidet.data.folder_formats.split_words import SPLITS


def test_every_word_is_in_the_form_that_names_are_compared_in():
    assert all(word == key(word) for word in SPLITS)


@pytest.mark.parametrize(
    ("name", "split"),
    [
        ("Entrenamiento", "train"),
        ("entrai\u0302nement", "train"),
        ("валидация", "val"),
        ("测试集", "test"),
        ("test images", "test"),
        ("holdout", "test"),
        ("cats", ""),
    ],
)
def test_splits_in_other_languages(name, split):
    assert split_of_folders(Path(name, "images", "a.jpg")) == split
