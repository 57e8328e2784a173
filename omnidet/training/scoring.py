"""How good the averaged weights are as training goes; the best of them are kept as a detector.

    every N steps:  average -> measure -> a row of the metric log -> folder/best/<step>, if no
                    weights before were better

Measuring changes nothing that later steps depend on. What is kept depends on the steps alone: a run
that was killed measures the same weights again and keeps the same.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from omnidet import storage
from omnidet.model.detector import Detector
from omnidet.storage import Location

BY = "AP"
"""The number that decides which weights are the best."""


@dataclass(frozen=True)
class Kept:
    """Weights that no earlier ones surpass."""

    location: str
    """A detector's bundle."""
    step: int
    values: Mapping[str, float]

    @property
    def rank(self) -> tuple[float, int]:
        """Of two that are equally good, the later ones are kept."""
        return self.values[BY], self.step


class Scoring:
    """Measures a detector now and then, and keeps the best."""

    def __init__(
        self,
        folder: Location,
        every: int,
        measure: Callable[[Detector], Mapping[str, float]],
        save: Callable[[Path, Detector], None],
    ) -> None:
        """Nothing is read or written yet.

        Args:
            folder: of the run; the best weights are kept in `folder/best`.
            measure: gives numbers, `AP` among them.
            save: writes a detector's bundle into an existing folder.
        """
        self.folder, self.every = folder, every
        self._measure, self._save = measure, save

    def is_due(self, step: int, is_last: bool) -> bool:
        """Whether the weights after this step are to be measured."""
        return is_last or step % self.every == 0

    def score(self, step: int, detector: Detector) -> dict[str, float]:
        """Measure, and keep the detector if none was better. Returns a row of the metric log."""
        values = {name: round(float(value), 6) for name, value in self._measure(detector).items()}
        self.keep(step, detector, values)
        return {"step": step, **values}

    def keep(self, step: int, detector: Detector, values: Mapping[str, float]) -> None:
        """Keep a detector that was measured, unless another is better.

        The new one is complete before the old one is removed.
        """
        own = Kept(storage.join(self.folder, "best", f"{step:08d}"), step, values)
        others = _all(self.folder)
        if any(other.rank > own.rank for other in others):
            return
        if own not in others:
            with storage.staged_directory(own.location) as stage:
                self._save(stage, detector)
                facts = {"step": step, "values": dict(values)}
                storage.write_text(stage / storage.INDEX_NAME, json.dumps(facts, indent=1) + "\n")
        for other in others:
            if other.step != step:
                storage.remove(other.location)


def best(folder: Location) -> Kept | None:
    """The best weights that the run in this folder has kept; None if it has kept none."""
    return max(_all(folder), key=lambda kept: kept.rank, default=None)


def _all(folder: Location) -> list[Kept]:
    """One as a rule; two if a run died between the new one and the removal of the old one."""
    found = []
    for name in storage.list_folders(storage.join(folder, "best")):
        place = storage.join(folder, "best", name)
        if name.isdigit() and storage.exists(storage.join(place, storage.INDEX_NAME)):
            facts = json.loads(storage.read_text(storage.join(place, storage.INDEX_NAME)))
            found.append(Kept(place, int(facts["step"]), facts["values"]))
    return found
