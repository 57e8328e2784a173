"""Text <-> token ids of the one shared vocabulary.

A phrase is a set of weighted tokens whose weights sum to 1; its score on a region is the weighted
mean of the tokens' logits. Five things make that more than a bag of subwords:

- **Weights** are inverse document frequencies, log((S + 1) / (n + 1)) for S texts of which n hold
  the token, computed once from the corpus (SuperClass, arXiv 2411.03313, keeps the same statistic
  as a running mean). Special tokens have weight 0.
- **Context tokens**: every token has a twin for the words after the first spatial relation of a
  phrase. In "star left of circle" the region shows the star, and the circle is next to it: two
  different tokens. The twin of token t is t + the size of the tokenizer when its block was made.
- **Whole names**: a name of several words that misleads, such as "hot dog" where "dog" was verified
  absent, gets a token of its own (`tokenization.py`).
- **Wording**: "a photo of the red stars" is "red star" (`wording.py`), unless both are names of
  things that a detector has to tell apart. Of two forms of a word, the one that names a class
  counts, else the one that more texts hold.
- **Words never heard**: the row of a token that no training text held is noise, and being rare it
  would have the largest weight. A word with such a token is left out of a phrase that is asked for,
  unless nothing would remain of what is looked for.

A vocabulary grows by whole blocks at its end (`vocabulary_growth.py`): token ids never change, and
a phrase keeps its score unless it holds another form of a new word.
"""

from __future__ import annotations

import functools
import hashlib
import itertools
import json
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tokenizers

from omnidet.config import require
from omnidet.data import tokenization
from omnidet.data.asked_words import AskedWords
from omnidet.data.relations import RELATIONS, is_relational
from omnidet.schema import BoolArray, FloatArray, IntArray, PhraseTable, Record

VOCABULARY_FILES = ("*.json", "idf.safetensors")
"""What stands in the folder of a vocabulary."""
_FOR_TRANSFORMERS = {
    "backend": "tokenizers",
    "model_max_length": int(1e30),  # no limit
    "pad_token": tokenization.SPECIAL_TOKENS[0],
    "tokenizer_class": "TokenizersBackend",
}
"""What `PreTrainedTokenizerFast.save_pretrained` writes next to `tokenizer.json`: its half a second
of imports is not worth four lines."""


@dataclass(frozen=True)
class VocabularyConfig:
    """How the vocabulary is built."""

    size: int = 30_000
    """Most tokens of the tokenizer. With the context tokens the vocabulary has twice as many."""
    min_frequency: int = 2
    """Subwords that occur less often are left in parts."""

    def __post_init__(self) -> None:
        require(
            self.size >= 257,
            f"vocabulary.size={self.size}: give 257 (all bytes and the padding) or more",
        )
        require(
            self.min_frequency >= 1,
            f"vocabulary.min_frequency={self.min_frequency}: give 1 or more",
        )


class Vocabulary:
    """The shared vocabulary; the rest of the system needs `encode` and `table`."""

    def __init__(
        self,
        tokenizer: tokenizers.Tokenizer,
        idf_T: FloatArray,
        blocks: Sequence[int] = (),
        names: Iterable[str] = (),
        heard_V: BoolArray | None = None,
    ) -> None:
        """Put a vocabulary together.

        Args:
            tokenizer: text to subwords.
            idf_T: inverse document frequency of each token of the tokenizer.
            blocks: how many of its tokens were added at a time, the first number when it was built.
                By default all were there from the start.
            names: class names of the data: their words are left as they are, and names that
                wording would make the same are taken word for word.
            heard_V: which vocabulary ids training texts held, a token and its twin each for itself;
                None, as before this was counted: all.
        """
        self.tokenizer = tokenizer
        self.idf_T = idf_T
        self.blocks = tuple(blocks) or (len(idf_T),)
        self.asked_words = AskedWords(names, self._idf_of)
        self._most = float(idf_T.max(initial=0.0))
        first_of_block = np.repeat(np.cumsum((0, *self.blocks[:-1])), self.blocks)
        self.own_T = np.arange(len(idf_T)) + first_of_block
        """Vocabulary id of each token of the tokenizer: each block is followed by its twins."""
        self.context_T = self.own_T + np.repeat(self.blocks, self.blocks)
        """Vocabulary id of the twin of each token."""
        self.is_context_T = np.zeros(self.num_tokens, bool)
        """Which vocabulary ids are those of twins."""
        self.is_context_T[self.context_T] = True
        self.heard_V = np.ones(self.num_tokens, bool) if heard_V is None else heard_V
        self._counts_heard = heard_V is not None
        self.special_ids = frozenset(
            tokenizer.token_to_id(token) for token in tokenization.SPECIAL_TOKENS
        )
        self.encode = functools.lru_cache(maxsize=200_000)(self._encode)

    def __reduce__(self) -> tuple[Any, ...]:
        parts = self.idf_T, self.blocks, self.names, self.stored_heard_V
        return _restore, (self.tokenizer.to_str(), *parts)

    @property
    def names(self) -> tuple[str, ...]:
        """The class names of the data."""
        return self.asked_words.names

    @property
    def stored_heard_V(self) -> BoolArray | None:
        """What files keep of `heard_V`: nothing where it was not counted."""
        return self.heard_V if self._counts_heard else None

    @property
    def num_tokens(self) -> int:
        """Number of tokens and context twins."""
        return 2 * len(self.idf_T)

    @functools.cached_property
    def content_hash(self) -> str:
        """Hash that names the vocabulary in every artifact that depends on it."""
        grown = str(self.blocks).encode() if len(self.blocks) > 1 else b""
        names = "\n".join(self.names).encode()
        heard = self.heard_V.tobytes() if self._counts_heard else b""
        return hashlib.sha256(
            self.tokenizer.to_str().encode() + self.idf_T.tobytes() + grown + names + heard
        ).hexdigest()

    def with_names(self, names: Iterable[str]) -> Vocabulary:
        """This one, or one with these class names if it was built before names were kept."""
        if self.names:
            return self
        return self._like(names, self.stored_heard_V)

    def with_heard(self, phrases: Iterable[str], captions: Iterable[str] = ()) -> Vocabulary:
        """This one, in which the tokens of these texts count as heard as well."""
        if not self._counts_heard:
            return self
        heard_V = self.heard_V.copy()
        for text, roles in (*((p, True) for p in phrases), *((c, False) for c in captions)):
            for word in itertools.chain(*self._words(text, roles)):
                heard_V[list(word)] = True
        return self._like(self.names, heard_V)

    def _like(self, names: Iterable[str], heard_V: BoolArray | None) -> Vocabulary:
        return Vocabulary(self.tokenizer, self.idf_T, self.blocks, names, heard_V)

    def _encode(
        self, text: str, roles: bool = True, every_word: bool = False
    ) -> tuple[IntArray, FloatArray]:
        """Token ids (ascending, distinct) and weights (sum 1) of a phrase.

        Args:
            text: any words. Case, punctuation and white space do not count.
            roles: whether it is read as what somebody looks for: wording does not count, and words
                after a spatial relation become context tokens. Not for captions: all that they
                name is in the image.
            every_word: whether words that were never heard count as well, as they do in training
                and where names must be told apart.

        Raises:
            ValueError: if the text has no letter, digit or symbol.
        """
        own, context = self._words(text, roles)
        if roles and not every_word:
            # What is looked for stays: "left of circle" alone would ask for anything.
            things = [word for word in own if not context or not self._relations.issuperset(word)]
            if any(map(self.is_heard, things)):
                own = [word for word in own if self.is_heard(word)]
            context = [word for word in context if self.is_heard(word)]
        weights: dict[int, float] = {}
        for words in (own, context):
            for word in words:
                for place, weight in word.items():
                    weights[place] = weights.get(place, 0.0) + weight
            if sum(weights.values()) <= 0:  # only words that occur everywhere
                weights = dict.fromkeys(weights, 1.0)
        if not weights:
            raise ValueError(
                f"the phrase {text!r} has no letter, digit or symbol to look for: give it a word"
            )
        ids = sorted(token for token, weight in weights.items() if weight > 0)
        values = np.array([weights[token] for token in ids], np.float64)
        return np.array(ids, np.int64), (values / values.sum()).astype(np.float32)

    def _words(self, text: str, roles: bool) -> list[list[dict[int, float]]]:
        """The words of a phrase that count, each as vocabulary ids with their weights: those up to
        its first relation, and those after it.
        """
        own, context = self.asked(text) if roles else (text, "")
        found: list[list[dict[int, float]]] = []
        for part, ids_T in ((own, self.own_T), (context, self.context_T)):
            encoding = self.tokenizer.encode(part)
            sizes = Counter(encoding.word_ids)
            words: dict[int | None, dict[int, float]] = {}
            for token, word in zip(encoding.ids, encoding.word_ids, strict=True):
                if token in self.special_ids:  # "<pad>" in the text is not a word
                    continue
                # A word counts once, however many subwords it consists of.
                place, weight = int(ids_T[token]), float(self.idf_T[token]) / sizes[word]
                own_word = words.setdefault(word, {})
                own_word[place] = own_word.get(place, 0.0) + weight
            found.append(list(words.values()))
        return found

    @functools.cached_property
    def _relations(self) -> frozenset[int]:
        """Vocabulary ids of the words of relations."""
        words = {word for relation in RELATIONS for word in relation.split()}
        encoded = self.tokenizer.encode_batch(sorted(words))
        return frozenset(int(self.own_T[token]) for one in encoded for token in one.ids)

    def knows(self, text: str) -> bool:
        """Whether training texts held all words of a phrase."""
        return bool(self.heard_V[self.encode(text, True, True)[0]].all())

    def is_heard(self, places: Iterable[int]) -> bool:
        """Whether training texts held all tokens of a word, given as vocabulary ids.

        Subwords are shared: a new word of heard ones is not known, but neither is it noise.
        """
        return bool(self.heard_V[list(places)].all())

    def asked(self, text: str) -> tuple[str, str]:
        """The words of a phrase that count: up to its first relation, and those after it."""
        return self.asked_words.parts(text)

    def _idf_of(self, word: str) -> float | None:
        """The weight of a word that some text held as a whole, or that was added; else None."""
        ids = self.tokenizer.encode(word).ids
        if len(ids) != 1 or ids[0] in self.special_ids:
            return None
        own = float(self.idf_T[ids[0]])
        return own if ids[0] >= self.blocks[0] or own < self._most else None

    def table(self, phrases: Iterable[tuple[Any, ...]] | Iterable[str]) -> PhraseTable:
        """The phrases as one table of weighted tokens; an item may be what `encode` takes."""
        encoded = [
            self.encode(item) if isinstance(item, str) else self.encode(*item) for item in phrases
        ]
        lengths = [len(ids) for ids, _ in encoded]
        ids_K = np.concatenate([ids for ids, _ in encoded]) if encoded else np.zeros(0, np.int64)
        weights_K = (
            np.concatenate([weights for _, weights in encoded])
            if encoded
            else np.zeros(0, np.float32)
        )
        offsets_P = np.cumsum([0, *lengths[:-1]]) if encoded else np.zeros(0, np.int64)
        import torch

        return PhraseTable(
            torch.from_numpy(ids_K),
            torch.from_numpy(weights_K),
            torch.from_numpy(offsets_P.astype(np.int64)),
        )

    def check_names(self, names: Sequence[str]) -> None:
        """Raise ValueError if two of the names cannot be told apart, or one is empty."""
        seen: dict[tuple[tuple[int, ...], tuple[float, ...]], str] = {}
        for name in names:
            ids, weights = self.encode(name, True, True)
            key = (tuple(ids.tolist()), tuple(np.round(weights, 6).tolist()))
            if key in seen:
                raise ValueError(
                    f"the names {seen[key]!r} and {name!r} are the same to the vocabulary: "
                    "rename one of them"
                )
            seen[key] = name

    def tokens(self, text: str) -> list[tuple[str, float]]:
        """The encoding for people to read: [("star", 0.6), ("circle (context)", 0.4)]."""
        ids, weights = self.encode(text)
        names = []
        for i in ids.tolist():
            places = np.flatnonzero(self.own_T == i)
            twin = not len(places)
            token = int((np.flatnonzero(self.context_T == i) if twin else places)[0])
            names.append(self.tokenizer.decode([token]).strip() + (" (context)" if twin else ""))
        return list(zip(names, weights.tolist(), strict=True))

    def save(self, folder: Path) -> None:
        """Write the files that `transformers.AutoTokenizer` loads, and the weights."""
        from safetensors.numpy import save_file

        folder.mkdir(parents=True, exist_ok=True)
        (folder / "tokenizer.json").write_text(self.tokenizer.to_str(pretty=True), encoding="utf-8")
        heard = {} if self.stored_heard_V is None else {"heard": self.stored_heard_V}
        save_file({"idf": self.idf_T, **heard}, folder / "idf.safetensors")
        facts = {
            "content_hash": self.content_hash,
            "num_tokens": self.num_tokens,
            "blocks": self.blocks,
            "names": self.names,
        }
        for name, content, indent in (
            ("vocabulary.json", facts, 1),
            ("tokenizer_config.json", _FOR_TRANSFORMERS, 2),
        ):
            text = json.dumps(content, indent=indent, ensure_ascii=False) + "\n"
            (folder / name).write_text(text, encoding="utf-8")

    @classmethod
    def load(cls, folder: Path) -> Vocabulary:
        """Read what `save` wrote. Raises FileNotFoundError or ValueError with the remedy."""
        from safetensors.numpy import load_file  # an exported model does without it

        for name in ("tokenizer.json", "idf.safetensors", "vocabulary.json"):
            if not (folder / name).is_file():
                raise FileNotFoundError(
                    f"{folder / name} does not exist: build the vocabulary with "
                    "`omnidet vocabulary`"
                )
        try:
            facts = json.loads((folder / "vocabulary.json").read_text(encoding="utf-8"))
            content_hash = facts["content_hash"]
            tokenizer = tokenizers.Tokenizer.from_file(str(folder / "tokenizer.json"))
            tensors = load_file(folder / "idf.safetensors")
            vocabulary = cls(
                tokenizer,
                tensors["idf"],
                facts.get("blocks", ()),
                facts.get("names", ()),
                tensors.get("heard"),
            )
        except Exception as error:  # tokenizers raises plain Exception
            raise ValueError(
                f"{folder} is damaged ({error}): build the vocabulary again"
            ) from error
        if vocabulary.content_hash != content_hash:
            raise ValueError(
                f"{folder} was changed after it was built (its content hash differs): "
                "build it again"
            )
        return vocabulary


def build(
    records: Sequence[Record] | Iterable[Record],
    config: VocabularyConfig,
    names: Iterable[str] = (),
) -> Vocabulary:
    """Train the tokenizer on the training records, weigh its tokens, add those of misleading names.

    Args:
        records: training records, without images if you like. They are iterated five times: pass
            an object that can be iterated again for large data.
        config: the size.
        names: class names beside those of the records' verified label spaces.
    """
    tokenizer = tokenization.train(records, config.size, config.min_frequency)
    idf_T, heard_T = tokenization.inverse_document_frequency(tokenizer, records)
    built = Vocabulary(
        tokenizer,
        idf_T,
        names={*names, *class_names(records)},
        heard_V=np.repeat([False], 2 * len(idf_T)),
    )
    built.heard_V[built.own_T] = heard_T
    return built.with_heard(_relational_or_absent(records))


def class_names(records: Iterable[Record]) -> set[str]:
    """The names of verified label spaces: what is absent is known there."""
    return {name for r in records if r.absent for name in (*r.phrases, *r.absent)}


def _relational_or_absent(records: Iterable[Record]) -> set[str]:
    """Phrases with words after a relation, and names that are known to be absent."""
    absent: set[str] = set()
    phrases: set[str] = set()
    for record in records:
        phrases.update(record.phrases)
        absent.update(record.absent)
    return absent | {phrase for phrase in phrases if is_relational(phrase)}


def _restore(tokenizer: str, *parts: Any) -> Vocabulary:
    return Vocabulary(tokenizers.Tokenizer.from_str(tokenizer), *parts)
