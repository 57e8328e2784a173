"""The type that every benchmark's file provides, and the outcome of all of them.

A `Measure` has two halves: `predict` finds the rows of each image, `evaluate` turns the rows of all
images into numbers. In between, the rows are on disk, so any number of ranks can predict and memory
does not grow with the set.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

from omnidet.measures.prediction_files import PredictionRow

if TYPE_CHECKING:  # recipes import this file: it must not cost them torch and the model
    from omnidet.data import shards
    from omnidet.inference.detector import OmniDet
    from omnidet.schema import Metrics, Record

NumberedRecords: TypeAlias = "Iterator[tuple[int, Record]]"
"""Images of a set, each with its position in the set."""
ImageRows: TypeAlias = Iterator[tuple[int, list[PredictionRow]]]
"""The rows of each image, in rising order of its position."""


@dataclass(frozen=True)
class Measure:
    """How one benchmark's numbers are made."""

    predict: Callable[[OmniDet, shards.Index, str, NumberedRecords], ImageRows]
    """(detector, index, set name, some of the set's images) -> their rows."""
    evaluate: Callable[[shards.Index, str, Iterable[PredictionRow]], Metrics]
    """(index, set name, the rows of all images in order) -> numbers."""
    rows_name: str = ""
    """Part of the file name of the rows, for rows that are not the set's official results."""
    needs_truth: bool = False
    """Whether it reads a ground-truth file that is stored with the shards."""


@dataclass(frozen=True)
class Evaluation:
    """The outcome of all benchmarks of a run."""

    values: dict[str, float]
    """`coco/AP50` and the like."""
    protocols: dict[str, str]
    """How the numbers of each benchmark were made."""
    details: dict[str, Any]
