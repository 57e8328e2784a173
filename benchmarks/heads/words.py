"""How a phrase becomes tokens: variants of the product's vocabulary, with the same tokenizer."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from omnidet.data.vocabulary import Vocabulary
from omnidet.schema import FloatArray, IntArray


class PlainBag(Vocabulary):
    """No context tokens: words behind a relation are the same tokens as before it."""

    @property
    def num_tokens(self) -> int:
        """Without the twins, which nothing uses."""
        return len(self.idf_T)

    def _encode(self, text: str, roles: bool = True) -> tuple[IntArray, FloatArray]:  # noqa: ARG002
        return super()._encode(text, roles=False)


class Sequence(Vocabulary):
    """The tokens in the order of the text, each with the same weight, for a text encoder."""

    @property
    def num_tokens(self) -> int:
        """Without the twins: the encoder sees the order of the words."""
        return len(self.idf_T)

    def _encode(self, text: str, roles: bool = True) -> tuple[IntArray, FloatArray]:  # noqa: ARG002
        ids = [i for i in self.tokenizer.encode(text).ids if i not in self.special_ids]
        if not ids:
            raise ValueError(f"the phrase {text!r} has no letter, digit or symbol: give it a word")
        return np.array(ids, np.int64), np.full(len(ids), 1 / len(ids), np.float32)


def _without_frequencies(base: Vocabulary) -> Vocabulary:
    return Vocabulary(base.tokenizer, np.ones_like(base.idf_T), base.blocks)


WORDS: dict[str, Callable[[Vocabulary], Vocabulary]] = {
    "roles": lambda base: base,
    "bag": lambda base: PlainBag(base.tokenizer, base.idf_T, base.blocks),
    "equal": _without_frequencies,
    "sequence": lambda base: Sequence(base.tokenizer, base.idf_T, base.blocks),
}
"""By name: the product's vocabulary -> that of a contestant."""
