"""What an evaluation measures: the part of a recipe that belongs to this stage.

A recipe is read by commands that measure nothing, so this file and `measure.py` import neither torch nor a model.
"""

from __future__ import annotations

from dataclasses import dataclass

from omnidet.measures.measure import Measure


@dataclass(frozen=True)
class Benchmark:
    """One evaluation of a run."""

    name: str
    """Its numbers are called `<name>/<metric>`."""
    measure: Measure
    set_name: str
    """Shard set, such as `eval/coco`."""
    suffix: str = ""
    """Added to each metric's name, as `AIGT_unseen`: for several sets under one name."""
    optional: bool = False
    """Whether a shard folder without the set will do."""

    @property
    def file_name(self) -> str:
        """Of its rows, in the folder of an evaluation."""
        ending = f".{self.measure.rows_name}" if self.measure.rows_name else ""
        return f"{self.set_name.replace('/', '_')}{ending}.json"


@dataclass(frozen=True)
class EvaluationConfig:
    """What is measured."""

    benchmarks: tuple[Benchmark, ...]
