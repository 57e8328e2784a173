"""The tokenizer of the vocabulary, subwords of bytes so that no word is unknown; token weights.

It is trained on the words of the training data. A name of several words that misleads gets a token
of its own: "hot dog" misleads if an annotator found one and verified that there is no "dog". "red
star" does not: it is a star.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import tokenizers
from tokenizers import normalizers, pre_tokenizers

from omnidet.schema import BoolArray, FloatArray, Record

SPECIAL_TOKENS = ("<pad>",)


def train(records: Iterable[Record], size: int, min_frequency: int) -> tokenizers.Tokenizer:
    """Train a byte-level BPE tokenizer and add the names that mislead.

    Args:
        records: training records, without images if you like. They are iterated twice.
        size: most tokens, without the added names.
        min_frequency: subwords that occur less often are left in parts.
    """
    tokenizer = tokenizers.Tokenizer(tokenizers.models.BPE())
    tokenizer.normalizer = normalizers.Sequence(
        [
            normalizers.NFKC(),
            normalizers.Lowercase(),
            normalizers.Replace(tokenizers.Regex(r"['’]"), ""),
            normalizers.Replace(tokenizers.Regex(r"[\p{P}\p{Z}\p{C}]+"), " "),
            normalizers.Strip(),
        ]
    )
    # Every word gets the same leading mark, so that "star" is the same token everywhere. Subwords
    # are made of bytes, so that no word is unknown.
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.WhitespaceSplit(),
            pre_tokenizers.ByteLevel(add_prefix_space=True, use_regex=False),
        ]
    )
    tokenizer.decoder = tokenizers.decoders.ByteLevel()
    trainer = tokenizers.trainers.BpeTrainer(
        vocab_size=size,
        min_frequency=min_frequency,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        special_tokens=list(SPECIAL_TOKENS),
        show_progress=False,
    )
    tokenizer.train_from_iterator((text for record in records for text in texts(record)), trainer)
    whole = misleading_names(tokenizer, records)
    tokenizer.add_tokens(
        [tokenizers.AddedToken(name, single_word=True, lstrip=True, rstrip=True) for name in whole]
    )
    return tokenizer


def texts(record: Record) -> Iterator[str]:
    """The phrases of the record and its caption."""
    yield from record.phrases
    if record.caption:
        yield record.caption


def normalized(tokenizer: tokenizers.Tokenizer, text: str) -> str:
    """The text as the tokenizer sees it: lower case, words divided by single spaces."""
    plain: str = tokenizer.normalizer.normalize_str(text)
    return plain


def inverse_document_frequency(
    tokenizer: tokenizers.Tokenizer, records: Iterable[Record]
) -> tuple[FloatArray, BoolArray]:
    """The weight of each token, log((S + 1) / (n + 1)) for S distinct texts of which n hold it, and
    whether any does.
    """
    # Each distinct text counts once: the class names of a detection dataset are on every image, and
    # would make every other word look rare, even "the".
    distinct = {text for record in records for text in texts(record)}
    containing = np.zeros(tokenizer.get_vocab_size())
    for encoding in tokenizer.encode_batch(sorted(distinct)):
        containing[np.unique(encoding.ids).astype(np.int64)] += 1
    idf_T = np.log((len(distinct) + 1) / (containing + 1))
    for token in SPECIAL_TOKENS:
        idf_T[tokenizer.token_to_id(token)] = 0.0
    return idf_T.astype(np.float32), containing > 0


def misleading_names(tokenizer: tokenizers.Tokenizer, records: Iterable[Record]) -> list[str]:
    """Names of several words, some of which form a name that was verified absent in the same image.

    Also names that are the same bag of words as such a name. Short names come first: once "hot dog"
    is one token, "red hot dog" is "red" and "hot dog", and no longer misleads to "red dog".
    """
    plain = functools.lru_cache(maxsize=None)(functools.partial(normalized, tokenizer))
    verified: set[tuple[str, str]] = set()
    for record in records:
        if record.absent:
            present = [plain(name) for name in record.phrases]
            absent = {plain(name): frozenset(plain(name).split()) for name in record.absent}
            for name in present:
                words = frozenset(name.split())
                verified.update(
                    (name, other)
                    for other, parts in absent.items()
                    if len(words) > 1 and parts <= words
                )
    whole: list[str] = []
    for name, other in sorted(verified, key=lambda pair: (len(pair[0]), pair)):
        if name not in whole and _units(other, whole) <= _units(name, whole):
            whole.append(name)
    return whole


def _units(name: str, whole: Sequence[str]) -> set[str]:
    """Words of a name; each whole name in it counts as one word."""
    marked = f" {name} "
    for other in whole:
        marked = marked.replace(f" {other} ", f" {other.replace(' ', '_')} ")
    return set(marked.split())
