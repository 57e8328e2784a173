"""What an evaluation measures: the part of a recipe that belongs to this stage.

A recipe is read by commands that measure nothing, so this file and `measure.py` import neither
torch nor a model.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from omnidet import plugins
from omnidet.measures.measure import Measure

MEASURES = "omnidet.measures"
"""The package of the measures that a recipe names."""
SAMPLED = "coco"
"""The measure of the benchmarks that can be sampled: every other one needs all of its pictures."""


@dataclass(frozen=True)
class Benchmark:
    """One evaluation of a run."""

    name: str
    """Its metrics are called `<name>/<metric>`."""
    measure: str = field(metadata={"plugins": MEASURES})
    """A file of this folder, such as `coco`."""
    set_name: str
    """The shard set, such as `eval/coco`."""
    suffix: str = ""
    """Added to the name of each metric, as in `AIGT_unseen`, for several sets under one name."""
    optional: bool = False
    """Whether the shard folder may lack the set."""

    @property
    def loaded(self) -> Measure:
        """The measure of that name."""
        measure: Measure = plugins.make(MEASURES, self.measure)
        return measure

    @property
    def can_be_sampled(self) -> bool:
        """Whether some of its pictures are enough to measure it: `sample.py`."""
        return self.measure == SAMPLED

    @property
    def file_name(self) -> str:
        """The file of its rows in the folder of an evaluation."""
        ending = f".{self.loaded.rows_name}" if self.loaded.rows_name else ""
        return f"{self.set_name.replace('/', '_')}{ending}.json"


@dataclass(frozen=True)
class EvaluationConfig:
    """What is measured."""

    benchmarks: tuple[Benchmark, ...]
