"""A phrase as a vocabulary reads it, piece by piece, and which words it does not know.

No torch here: exported detectors say it too.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any

from omnidet.data.vocabulary import Vocabulary


@dataclass(frozen=True)
class Piece:
    """A token of a phrase."""

    place: int
    """Vocabulary id."""
    text: str
    word: str
    """The word that it is, or is a part of."""
    is_context: bool
    """It names what the thing is next to."""
    is_known: bool
    """The vocabulary has the word as a whole, and training texts held it."""
    is_heard: bool = True
    """Training texts held all pieces of the word; else it is left out of the phrase, unless nothing
    would remain of what is looked for."""


def unknown_words(vocabulary: Vocabulary, phrase: str) -> tuple[str, ...]:
    """Words of a phrase that the vocabulary has only in parts, or that training never had."""
    read = pieces(vocabulary, phrase)
    return tuple(dict.fromkeys(piece.word for piece in read if not piece.is_known))


def unheard_words(vocabulary: Vocabulary, phrase: str) -> tuple[str, ...]:
    """Words of a phrase that training texts never held."""
    read = pieces(vocabulary, phrase)
    return tuple(dict.fromkeys(piece.word for piece in read if not piece.is_heard))


def pieces(vocabulary: Vocabulary, phrase: str) -> list[Piece]:
    """The tokens of a phrase in its order, each once."""
    own, context = vocabulary.asked(phrase)
    found: dict[int, Piece] = {}
    for part, ids_T, is_context in (
        (own, vocabulary.own_T, False),
        (context, vocabulary.context_T, True),
    ):
        encoding = vocabulary.tokenizer.encode(part)
        sizes = Counter(encoding.word_ids)
        spans: dict[Any, tuple[int, int]] = {}
        places: dict[Any, list[int]] = {}
        for token, word in zip(encoding.ids, encoding.word_ids, strict=True):
            places.setdefault(word, []).append(int(ids_T[token]))
        heard = {word: vocabulary.is_heard(own_places) for word, own_places in places.items()}
        for word, (begin, end) in zip(encoding.word_ids, encoding.offsets, strict=True):
            first, last = spans.get(word, (begin, end))
            spans[word] = min(first, begin), max(last, end)
        for token, word in zip(encoding.ids, encoding.word_ids, strict=True):
            if token in vocabulary.special_ids:
                continue
            place = int(ids_T[token])
            text = vocabulary.tokenizer.decode([token]).strip()
            whole = part[slice(*spans[word])].strip() if sizes[word] > 1 else text
            is_known = sizes[word] == 1 and heard[word]
            piece = Piece(place, text, whole, is_context, is_known, heard[word])
            found.setdefault(place, piece)
    return list(found.values())
