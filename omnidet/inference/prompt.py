"""Phrases as rows of numbers: what is encoded once and searched for in any number of images."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor


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

    @property
    def labels(self) -> tuple[str, ...]:
        """What detections are called."""
        return self.names or self.phrases

    @property
    def is_plain(self) -> bool:
        """Whether every phrase stands for itself, without a threshold of its own."""
        return not self.names and not any(value is not None for value in self.thresholds)
