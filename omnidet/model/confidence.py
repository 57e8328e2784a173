"""From the logit of a phrase to a score that can be read as a probability.

    confidence logit = scale * (z . row + bias) + offset of the phrase

It is fitted after training on held-out images (`measures/confidence.py`) and folded into rows and
biases, so that the ranking of regions, the exact search and exported models stay as they are. The
offset depends on the phrase alone: a phrase of several words has another range of logits than one
word, since it is their mean, and so has one that mentions something else.

There are two questions with different answers. Of something that may not be there, a detector is
surer to be wrong than of something that is known to be there: "asked" and "present".

No torch here: the bundle is checked without it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from omnidet.config import require
from omnidet.data.vocabulary import Vocabulary
from omnidet.schema import FloatArray


@dataclass(frozen=True)
class Line:
    """A logit times a scale, plus an offset for the kind of phrase."""

    scale: float = 1.0
    offset: float = 0.0
    spread: float = 0.0
    """Offset times 1 - the sum of squared weights: 0 for one word, near 1 for many."""
    context: float = 0.0
    """Offset times the share of words after a relation."""

    def offsets(self, shapes_P2: FloatArray) -> FloatArray:
        """The offset (P,) of phrases with this spread and share of context."""
        weights = np.array([self.spread, self.context], np.float32)
        offsets: FloatArray = (shapes_P2 @ weights + np.float32(self.offset)).astype(np.float32)
        return offsets


@dataclass(frozen=True)
class Confidence:
    """What was fitted, and on how much. Without a fit, scores are the sigmoid of the logits."""

    asked: Line = field(default_factory=Line)
    """For things that may not be in the image."""
    present: Line = field(default_factory=Line)
    """For the best region of a phrase that is known to be in the image."""
    threshold: float = 0.0
    """The least score at which F1 was best; 0 if nothing was fitted."""
    images: int = 0
    boxes: int = 0
    """Pairs of phrase and true box in them."""

    @classmethod
    def of(cls, config: Mapping[str, Any]) -> Confidence:
        """That of a bundle's `config.json`; the identity if it has none.

        Raises ValueError if it was changed or is damaged.
        """
        stored = config.get("confidence")
        if stored is None:
            return cls()
        try:
            lines = {name: Line(**stored[name]) for name in ("asked", "present")}
            found = cls(**{**stored, **lines})
            numbers = [*asdict(found.asked).values(), *asdict(found.present).values()]
            require(
                all(np.isfinite(numbers)) and min(found.asked.scale, found.present.scale) > 0,
                "its scales must be above 0",
            )
        except (TypeError, ValueError, KeyError) as error:
            raise ValueError(f"confidence in config.json is damaged: {error}") from error
        if found.sha256 != config.get("confidence_sha256"):
            raise ValueError(
                "confidence in config.json was changed after it was written: its hash is not "
                "confidence_sha256"
            )
        return found

    @property
    def sha256(self) -> str:
        """Hash of the numbers."""
        return hashlib.sha256(json.dumps(asdict(self), sort_keys=True).encode()).hexdigest()

    def to_config(self) -> dict[str, Any]:
        """What a bundle's `config.json` holds of it: nothing if nothing was fitted."""
        if self == Confidence():
            return {}
        return {"confidence": asdict(self), "confidence_sha256": self.sha256}


def shapes(vocabulary: Vocabulary, phrases: tuple[str, ...]) -> FloatArray:
    """Spread and share of context (P, 2) of phrases."""
    found = np.zeros((len(phrases), 2), np.float32)
    for place, phrase in enumerate(phrases):
        ids, weights = vocabulary.encode(phrase)
        found[place] = 1 - (weights**2).sum(), weights[vocabulary.is_context_T[ids]].sum()
    return found
