"""The vocabulary of a run, where its own settings say."""

from __future__ import annotations

from pathlib import Path

from components.build_vocabulary import build_vocabulary
from components.run import places
from omnidet.data.vocabulary import Vocabulary
from tests import toys


def test_vocabularies_of_the_same_settings_are_one(tmp_path):
    toys.write_shards(tmp_path / "shards")
    shards, folder = str(tmp_path / "shards"), str(tmp_path / "data")
    settings = ["vocabulary.size=600"]
    words = build_vocabulary.python_func(shards, folder, "tiny_world", settings)
    assert words == build_vocabulary.python_func(shards, folder, "tiny_world", settings)
    assert words.startswith(f"{folder}/vocabulary-")
    assert Vocabulary.load(Path(words)).num_tokens > 0
    other = places.recipe("tiny_world", ["vocabulary.size=700"])
    assert places.vocabulary(folder, other) != words
