"""How a phrase becomes tokens: variants of the product's vocabulary, with the same tokenizer."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from omnidet.data.vocabulary import Vocabulary
from omnidet.schema import FloatArray, IntArray


class PlainBag(Vocabulary):
    """No context tokens: words behind a relation are the same tokens as before it."""

    def _encode(
        self, text: str, roles: bool = True, every_word: bool = False
    ) -> tuple[IntArray, FloatArray]:
        text = " ".join(self.asked(text)) if roles else text
        return super()._encode(text, roles=False, every_word=every_word)


class Sequence(Vocabulary):
    """The tokens in the order of the text, each with the same weight, for a text encoder."""

    def _encode(
        self,
        text: str,
        roles: bool = True,  # noqa: ARG002
        every_word: bool = False,  # noqa: ARG002
    ) -> tuple[IntArray, FloatArray]:
        ids = [i for i in self.tokenizer.encode(text).ids if i not in self.special_ids]
        if not ids:
            raise ValueError(f"the phrase {text!r} has no letter, digit or symbol: give it a word")
        return np.array(ids, np.int64), np.full(len(ids), 1 / len(ids), np.float32)


def _without_frequencies(base: Vocabulary) -> Vocabulary:
    equal = Vocabulary(base.tokenizer, np.ones_like(base.idf_T), base.blocks, base.names)
    equal.asked_words = base.asked_words  # which forms of a word are the same stays as it is
    return equal


WORDS: dict[str, Callable[[Vocabulary], Vocabulary]] = {
    "roles": lambda base: base,
    "bag": lambda base: PlainBag(base.tokenizer, base.idf_T, base.blocks, base.names),
    "equal": _without_frequencies,
    "sequence": lambda base: Sequence(base.tokenizer, base.idf_T, base.blocks, base.names),
}
"""By name: the product's vocabulary, as it was built -> that of a contestant."""


def num_tokens(vocabulary: Vocabulary) -> int:
    """How many tokens phrases may have: only some vocabularies use the context twins."""
    has_twins = not isinstance(vocabulary, PlainBag | Sequence)
    return vocabulary.num_tokens if has_twins else len(vocabulary.idf_T)
