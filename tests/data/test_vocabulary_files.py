"""A vocabulary on disk: what transformers reads, what its hash covers, and what is refused."""

from __future__ import annotations

import json
import pickle
import subprocess
import sys

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file
from transformers import AutoTokenizer, PreTrainedTokenizerFast

from omnidet.data import vocabulary
from omnidet.data.vocabulary import Vocabulary
from tests.data.words import COLOURS, CONFIG, CORPUS, HOT_DOGS, SHAPES, build, ids, same


@pytest.fixture(scope="module")
def words() -> Vocabulary:
    return build(*HOT_DOGS)


@pytest.fixture(scope="module")
def folder(words, tmp_path_factory):
    path = tmp_path_factory.mktemp("vocabulary")
    words.save(path)
    return path


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
    script = "from tests.data.words import *; print(build(*HOT_DOGS).content_hash)"
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
