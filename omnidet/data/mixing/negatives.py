"""Names to assume absent in datasets that say nothing about most of their names.

Detic's federated loss (Zhou et al., arXiv 2201.02605) fills the names of an image up to 50 with
others, drawn with the square root of their number of images as weight. It is an assumption that a
name is absent because it is not listed, so a stream must ask for this (`Stream.sampled_negatives`).
Verified names come first.
"""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from omnidet.data import shards
from omnidet.data.shard_cache import ShardCache
from omnidet.data.vocabulary import Vocabulary
from omnidet.schema import Record

POWER = 0.5
"""Exponent of a name's number of images (Detic)."""

MAX_SHARDS = 32
"""Number of shards, evenly spread over the set, in which names are counted if the index has no
counts: weights need not be exact."""


def count_names(index: shards.Index, set_name: str, cache: ShardCache) -> Counter[str]:
    """In how many images of a set each name occurs: from the index, else by reading some shards."""
    if set_name in index.names:
        return Counter(index.names[set_name])
    members = index.shards(set_name)
    chosen = np.unique(
        np.linspace(0, len(members) - 1, min(len(members), MAX_SHARDS)).round().astype(int)
    )
    counts: Counter[str] = Counter()
    for number in chosen.tolist():
        reader = shards.open_shard(index.location, members[number], cache)
        for i in range(members[number].samples):
            counts.update(set(reader.read_texts(i).phrases))
    return counts


class NameSampler:
    """Draws names that are not in an image's label space and that none of its phrases may mean."""

    def __init__(self, counts: Mapping[str, int], vocabulary: Vocabulary) -> None:
        self.names = sorted(counts)
        self.log_weights = POWER * np.log([float(counts[name]) for name in self.names])
        self.place = {name: i for i, name in enumerate(self.names)}
        self.vocabulary = vocabulary
        self.tokens = [self._tokens_of(name) for name in self.names]
        self._meant = functools.lru_cache(maxsize=100_000)(self._find_meant)

    def sample(self, record: Record, count: int, random: np.random.Generator) -> tuple[str, ...]:
        """So many names, or as many as there are.

        A name is never drawn if the record lists it, or if a phrase of the image may mean it: one
        with the same tokens, with some of them ("dog" for "hot dog"), or with them and more
        ("police car" for "car").
        """
        possible = np.ones(len(self.names), bool)
        for phrase in record.phrases:
            possible[self._meant(phrase)] = False
        possible[[self.place[name] for name in record.absent if name in self.place]] = False
        count = min(count, int(possible.sum()))
        if count <= 0:
            return ()
        # The largest values of log(weight) + Gumbel noise are a weighted draw without replacement
        # (Efraimidis and Spirakis 2006).
        keys = np.where(possible, self.log_weights + random.gumbel(size=len(self.names)), -np.inf)
        return tuple(self.names[i] for i in np.sort(np.argpartition(-keys, count - 1)[:count]))

    def _find_meant(self, phrase: str) -> npt.NDArray[np.int64]:
        own = self._tokens_of(phrase)
        return np.array(
            [i for i, tokens in enumerate(self.tokens) if tokens <= own or own <= tokens], np.int64
        )

    def _tokens_of(self, name: str) -> frozenset[int]:
        return frozenset(self.vocabulary.encode(name, True, True)[0].tolist())
