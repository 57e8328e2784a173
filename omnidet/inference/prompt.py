"""Phrases as rows of numbers: what is encoded once and searched for in any number of images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from omnidet.data.vocabulary import Vocabulary
from omnidet.inference.names import Name
from omnidet.inference.question import listed
from omnidet.inference.shared_tokens import SharedTokens, share
from omnidet.model.confidence import Line, shapes
from omnidet.model.detector import Detector
from omnidet.schema import PhraseTable


@dataclass(frozen=True, eq=False)
class Prompt:
    """A list of phrases, encoded once."""

    phrases: tuple[str, ...]
    rows_PD: Tensor
    biases_P: Tensor
    names: tuple[str, ...] = ()
    """What the phrases stand for; empty where each stands for itself."""
    name_of_P: tuple[int, ...] = ()
    """For each phrase the index of its name."""
    thresholds: tuple[float | None, ...] = ()
    """For each name its own least score, or None for that of the call."""
    shared: SharedTokens | None = None
    """The tokens of many phrases, if they are far fewer: a search is faster with them."""
    of: str = ""
    """The detector whose numbers they are; empty where that has no name yet."""

    @property
    def labels(self) -> tuple[str, ...]:
        """What detections are called."""
        return self.names or self.phrases

    @property
    def is_plain(self) -> bool:
        """Whether every phrase stands for itself, without a threshold of its own."""
        return not self.names and not any(value is not None for value in self.thresholds)

    def require_of(self, detector: str) -> None:
        """Raise ValueError if it was encoded by another detector: all scores would be wrong.

        Args:
            detector: what `of` would be; empty if that is not known.
        """
        if self.of and detector and self.of != detector:
            raise ValueError(
                f"the prompt for {listed(self.labels)} was encoded by another detector: encode it "
                "with `prompt` of the one that is asked, or give that one the phrases"
            )


@torch.inference_mode()
def encoded(
    names: Sequence[Name], detector: Detector, vocabulary: Vocabulary, line: Line, of: str = ""
) -> Prompt:
    """Names as a prompt.

    Args:
        line: from the detector's logits to those that the scores are read from.
        of: what the detector is called, see `Prompt`.
    """
    phrases = tuple(phrase for name in names for phrase in name.phrases)

    def scored(table: PhraseTable) -> tuple[Tensor, Tensor]:
        rows_PD, biases_P = detector.phrases(table.to(detector.tokens.biases.device))
        return rows_PD * line.scale, biases_P * line.scale

    table = vocabulary.table(phrases)
    rows_PD, biases_P = scored(table)
    if line != Line():
        offsets_P = torch.from_numpy(line.offsets(shapes(vocabulary, phrases)))
        biases_P = biases_P + offsets_P.to(biases_P.device)
    shared = share(table, rows_PD, biases_P, scored)
    thresholds = tuple(name.threshold for name in names)
    if all(name.phrases == (name.name,) for name in names):
        own = thresholds if any(value is not None for value in thresholds) else ()
        return Prompt(phrases, rows_PD, biases_P, thresholds=own, shared=shared, of=of)
    name_of_P = tuple(place for place, name in enumerate(names) for _ in name.phrases)
    labels = tuple(name.name for name in names)
    return Prompt(phrases, rows_PD, biases_P, labels, name_of_P, thresholds, shared, of)
