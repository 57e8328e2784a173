"""More words for the vocabulary of a trained detector: new tokens behind its end."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

import numpy as np
import tokenizers

from omnidet.data import tokenization
from omnidet.data.vocabulary import Vocabulary, class_names
from omnidet.schema import Record


def extend(
    vocabulary: Vocabulary,
    records: Sequence[Record],
    min_frequency: int = 2,
    names: Iterable[str] = (),
) -> tuple[Vocabulary, tuple[str, ...]]:
    """The vocabulary with a token for each word that it had only in parts; and these words.

    Every token keeps its id and weight. A new token has the mean weight of its subwords, or of
    those of the form that stood for it, so a detector whose new rows are the mean of their rows
    (`model/grow.py`) scores every phrase of words that it had heard as before. What the new texts
    hold counts as heard from now on, also where it is no new token.

    Args:
        vocabulary: what to extend.
        records: the new data, without images if you like. All names in it count.
        min_frequency: how many captions a word must occur in.
        names: class names beside those of the records' verified label spaces.
    """

    def split(text: str) -> list[str]:
        return tokenization.normalized(vocabulary.tokenizer, text).split()

    words: Counter[str] = Counter()
    for record in records:
        for text in {*record.phrases, *record.absent}:
            words.update(dict.fromkeys(split(text), min_frequency))
        words.update(set(split(record.caption)))
    tokenizer = tokenizers.Tokenizer.from_str(vocabulary.tokenizer.to_str())
    new, weights = [], []
    for word in sorted(word for word, count in words.items() if count >= min_frequency):
        parts = vocabulary.tokenizer.encode(word).ids
        # A word that is spelt like a subword of other words cannot have a token of its own.
        if len(parts) > 1 and tokenizer.token_to_id(word) is None:
            new.append(word)
            before = vocabulary.tokenizer.encode(vocabulary.asked(word)[0]).ids
            weights.append(float(np.mean([vocabulary.idf_T[part] for part in before])))
    known = _names_that_matter(vocabulary, {*names, *class_names(records)}, new)
    tokenizer.add_tokens(
        [tokenizers.AddedToken(word, single_word=True, lstrip=True, rstrip=True) for word in new]
    )
    idf_T = np.concatenate([vocabulary.idf_T, np.array(weights, np.float32)])
    blocks = (*vocabulary.blocks, len(new)) if new else vocabulary.blocks
    heard_V = vocabulary.stored_heard_V
    if heard_V is not None:
        heard_V = np.concatenate([heard_V, np.repeat([False], 2 * len(new))])
    grown = Vocabulary(tokenizer, idf_T, blocks, known, heard_V).with_heard(
        {text for record in records for text in (*record.phrases, *record.absent)},
        {record.caption for record in records if record.caption},
    )
    is_same = grown.content_hash == vocabulary.content_hash
    return (vocabulary, ()) if is_same else (grown, tuple(new))


def require_extension(old: Vocabulary, new: Vocabulary) -> None:
    """Raise ValueError unless every token of `old` has the same id, text and weight in `new`."""
    size = len(old.idf_T)
    same = new.blocks[: len(old.blocks)] == old.blocks and np.array_equal(
        new.idf_T[:size], old.idf_T
    )
    if not same or any(
        old.tokenizer.id_to_token(i) != new.tokenizer.id_to_token(i) for i in range(size)
    ):
        raise ValueError(
            f"the vocabulary {new.content_hash[:12]} does not extend {old.content_hash[:12]}, with "
            "which the detector was trained: extend that one"
        )


def _names_that_matter(old: Vocabulary, names: set[str], new: Sequence[str]) -> set[str]:
    """The old names, and those of `names` that have a new word or must be told apart."""
    every = Vocabulary(old.tokenizer, old.idf_T, old.blocks, {*old.names, *names})
    added, known, apart = set(new), set(old.names), every.asked_words.apart
    return {
        name
        for name in every.names
        if name in known or name in apart or not added.isdisjoint(name.split())
    }
