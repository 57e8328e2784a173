"""Stage 1: files of a dataset -> Records. One file a dataset; the file name is the dataset's name.

To add one, write `omnidet/data/sources/<name>.py` with the functions of `Source` and name it in SOURCES.
Its `read` yields Records in a fixed order, opens nothing but the dataset's own files, and hands what it cannot use to the
quarantine. It knows no torch, no tokens and no resizing.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol, cast

from omnidet.data.reading.annotations import GroundTruth, Piece
from omnidet.data.reading.quarantine import Quarantine
from omnidet.data.sources import annotated, cc12m, coco, flickr30k, laion, lvis, refcocog, refcocos
from omnidet.schema import Record


class Source(Protocol):
    """What a module in this folder offers."""

    def read(self, root: str, split: str, quarantine: Quarantine) -> Iterator[Record]:
        """Records of one split of the dataset under `root`, in a fixed order.

        Raises FileNotFoundError for a missing file and ValueError for one that is not in the dataset's format.
        """
        ...

    def pieces(
        self, root: str, split: str, quarantine: Quarantine, size: int = ...
    ) -> Iterator[Piece]:
        """The same records in pieces of about `size`, each of which any process can read.

        The order and the cut depend on the files alone. What the split as a whole has wrong goes to this quarantine, what a
        record has wrong to the one that its piece is given.
        """
        ...

    def check(self, root: str, split: str) -> None:
        """Raise FileNotFoundError with the remedy where the split is not there; opens nothing large."""
        ...

    def image_ids(self, root: str, split: str) -> set[str]:
        """`Record.image_id` of every image of the split, read from the annotations alone."""
        ...

    def ground_truth(self, root: str, split: str) -> GroundTruth | None:
        """The annotation file that the official evaluation of this dataset reads, if it reads one."""
        ...


SOURCES = [coco, lvis, refcocog, refcocos, flickr30k, laion, cc12m, annotated]


def by_name(name: str) -> Source:
    """The source of that name. Raises ValueError that lists the known ones."""
    known = {module.__name__.rpartition(".")[2]: module for module in SOURCES}
    if name not in known:
        raise ValueError(f"unknown dataset {name!r}: the known ones are {', '.join(known)}")
    return cast(Source, known[name])
