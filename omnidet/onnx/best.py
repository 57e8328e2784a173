"""The best pairs of a region and a phrase, in numpy."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from omnidet.schema import FloatArray, IntArray


@dataclass(frozen=True, eq=False)
class Best:
    """Pairs, best first; those of equal score in order of region, then phrase."""

    scores: FloatArray
    region: IntArray
    phrase: IntArray

    @classmethod
    def of(cls, scores_QP: FloatArray, most: int, first: int = 0) -> Best:
        """The best `most` pairs of all; `first` is the number of the first phrase."""
        flat = scores_QP.ravel()
        if 0 < most < flat.size:
            # All that equal the last of them are in, so that the order decides between them.
            bar = np.partition(flat, flat.size - most)[flat.size - most]
            places = np.flatnonzero(flat >= bar)
        else:
            places = np.arange(flat.size)
        places = places[np.argsort(-flat[places], kind="stable")][:most]
        width = max(1, scores_QP.shape[1])
        return cls(flat[places], places // width, places % width + first)

    def at(self, places: IntArray) -> Best:
        """The pairs at these places."""
        return Best(self.scores[places], self.region[places], self.phrase[places])

    def with_more(self, scores_QP: FloatArray, first: int, most: int) -> Best:
        """The best of these and those of further phrases."""
        more = Best.of(scores_QP, most, first)
        scores = np.concatenate([self.scores, more.scores])
        region = np.concatenate([self.region, more.region])
        phrase = np.concatenate([self.phrase, more.phrase])
        order = np.lexsort((phrase, region, -scores))[:most]
        return Best(scores[order], region[order], phrase[order])
