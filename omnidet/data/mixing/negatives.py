"""Names to take for absent where a dataset says nothing of most of its names.

Detic's federated loss (Zhou et al., arXiv 2201.02605) fills the names of an image to 50 with others, drawn with a weight of
their number of images to the power of 0.5. That a name which is not listed is absent is an assumption, so that a stream must
ask for it (`Stream.sampled_negatives`). What was verified comes first.
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
"""Of a name's number of images (Detic)."""

MAX_SHARDS = 32
"""Shards, evenly spread over the set, that names are counted in where the index tells nothing: a weight need not be exact."""


def count_names(index: shards.Index, set_name: str, cache: ShardCache) -> Counter[str]:
    """In how many images of a set each name occurs: as the index says, else by reading some shards."""
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
    """Draws names of a set that are not in the label space of an image, and cannot be meant by it."""

    def __init__(self, counts: Mapping[str, int], vocabulary: Vocabulary) -> None:
        self.names = sorted(counts)
        self.log_weights = POWER * np.log([float(counts[name]) for name in self.names])
        self.place = {name: i for i, name in enumerate(self.names)}
        self.vocabulary = vocabulary
        self.tokens = [self._tokens_of(name) for name in self.names]
        self._meant = functools.lru_cache(maxsize=100_000)(self._find_meant)

    def sample(self, record: Record, count: int, random: np.random.Generator) -> tuple[str, ...]:
        """So many names, or as many as there are.

        Never one that the record knows, and none that a phrase of the picture may mean: with the same tokens, or some of
        them ("dog" beside "hot dog"), or them and more ("police car" beside "car").
        """
        possible = np.ones(len(self.names), bool)
        for phrase in record.phrases:
            possible[self._meant(phrase)] = False
        possible[[self.place[name] for name in record.absent if name in self.place]] = False
        count = min(count, int(possible.sum()))
        if count <= 0:
            return ()
        # The largest of log(weight) + Gumbel noise are a draw without replacement (Efraimidis and Spirakis 2006).
        keys = np.where(possible, self.log_weights + random.gumbel(size=len(self.names)), -np.inf)
        return tuple(self.names[i] for i in np.sort(np.argpartition(-keys, count - 1)[:count]))

    def _find_meant(self, phrase: str) -> npt.NDArray[np.int64]:
        own = self._tokens_of(phrase)
        return np.array(
            [i for i, tokens in enumerate(self.tokens) if tokens <= own or own <= tokens], np.int64
        )

    def _tokens_of(self, name: str) -> frozenset[int]:
        return frozenset(self.vocabulary.encode(name)[0].tolist())
