"""A phrase piece by piece, without torch."""

from __future__ import annotations

import subprocess
import sys

from omnidet.inference import pieces
from tests import toys


def test_a_phrase_is_read_in_its_order_with_what_is_beside_it():
    read = pieces.pieces(toys.toy_vocabulary(), "a red star left of the circle")
    assert [(piece.text, piece.is_context) for piece in read if piece.is_known][:2] == [
        ("red", False),
        ("star", False),
    ]
    assert {piece.word for piece in read if piece.is_context} == {"circle"}
    assert len({piece.place for piece in read}) == len(read)


def test_words_in_parts_are_unknown():
    vocabulary = toys.toy_vocabulary()
    assert pieces.unknown_words(vocabulary, "red xylophone left of a zither") == (
        "xylophone",
        "zither",
    )
    assert pieces.unknown_words(vocabulary, "red star") == ()


def test_no_torch_is_loaded():
    program = "import sys, omnidet.inference.hints; print('torch' in sys.modules)"
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert ran.stdout.strip() == "False", ran.stderr
