from __future__ import annotations

import dataclasses
import shutil

import numpy as np
import pytest
import torch

from omnidet.inference.detector import OmniDet
from omnidet.onnx.words import TABLE, TOKENIZER, Words
from tests import toys

PHRASES = ("red star", "star left of circle", "thing never heard of")


def _words() -> Words:
    tokens = toys.toy_detector().tokens
    return Words(
        toys.toy_vocabulary(), tokens.embeddings.detach().numpy(), tokens.biases.detach().numpy()
    )


def test_rows_are_those_of_the_detector(tmp_path):
    _words().save(tmp_path)
    words = Words.load(str(tmp_path), toys.toy_vocabulary().blocks)  # as the documentation has it
    rows, biases = words.rows(PHRASES)
    with torch.no_grad():
        wanted = toys.toy_detector().phrases(toys.toy_vocabulary().table(PHRASES))
    np.testing.assert_allclose(rows, wanted[0].numpy(), atol=1e-6)
    np.testing.assert_allclose(biases, wanted[1].numpy(), atol=1e-6)


def test_exported_rows_are_those_of_the_prompt(exported):
    """With the calibration of the first stream, and what makes scores probabilities."""
    detector = OmniDet.from_pretrained(exported.bundle)
    prompt = detector.prompt(PHRASES)
    line = dataclasses.astuple(detector.confidence.asked)
    assert line == dataclasses.astuple(toys.CONFIDENCE.asked)
    words = Words.load(exported.onnx, toys.toy_vocabulary().blocks, (), line)
    rows, biases = words.rows(PHRASES)
    np.testing.assert_allclose(rows, prompt.rows_PD.numpy(), atol=1e-6)
    np.testing.assert_allclose(biases, prompt.biases_P.numpy(), atol=1e-6)


def test_a_word_that_was_never_heard_is_left_out(tmp_path):
    _words().save(tmp_path)
    rows, biases = Words.load(tmp_path, toys.toy_vocabulary().blocks).rows(["red xylophone", "red"])
    np.testing.assert_array_equal(rows[0], rows[1])
    assert biases[0] == biases[1]


def test_a_table_of_before_words_were_counted_has_all_count(tmp_path):
    words = _words()
    words.save(tmp_path)
    with np.load(tmp_path / TABLE) as table:
        np.savez(tmp_path / TABLE, **{key: table[key] for key in table if key != "heard"})
    rows, _ = Words.load(tmp_path, words.vocabulary.blocks).rows(["red xylophone", "red"])
    assert np.abs(rows[0] - rows[1]).max() > 0.01


@pytest.mark.parametrize("name", [TOKENIZER, TABLE])
def test_files_that_are_missing_or_damaged_are_named(tmp_path, name):
    _words().save(tmp_path)
    (tmp_path / name).write_bytes(b"{")
    with pytest.raises(ValueError, match=str(tmp_path)):
        Words.load(tmp_path, toys.toy_vocabulary().blocks)
    (tmp_path / name).unlink()
    with pytest.raises(FileNotFoundError, match=name):
        Words.load(tmp_path, toys.toy_vocabulary().blocks)


def test_files_of_two_exports_are_refused(tmp_path):
    words = _words()
    words.save(tmp_path)
    other = Words(words.vocabulary, words.embeddings_TD[:-2], words.biases_T[:-2])
    (tmp_path / "other").mkdir()
    other.save(tmp_path / "other")
    shutil.copy(tmp_path / "other" / TABLE, tmp_path / TABLE)
    with pytest.raises(ValueError, match=TABLE.replace(".", r"\.")):
        Words.load(tmp_path, words.vocabulary.blocks)


def test_files_of_another_detector_are_refused(tmp_path):
    """Of the same number of tokens, and of a version before hashes were kept."""
    words = _words()
    words.save(tmp_path, "a" * 64)
    blocks = words.vocabulary.blocks
    assert Words.load(tmp_path, blocks, weights_sha256="a" * 64).rows(["red star"])
    with pytest.raises(ValueError, match=TABLE.replace(".", r"\.") + " is of another detector"):
        Words.load(tmp_path, blocks, weights_sha256="b" * 64)
    with np.load(tmp_path / TABLE) as table:
        kept = {key: table[key] for key in table if key != "weights_sha256"}
    np.savez(tmp_path / TABLE, **kept)
    assert Words.load(tmp_path, blocks, weights_sha256="b" * 64).rows(["red star"])
