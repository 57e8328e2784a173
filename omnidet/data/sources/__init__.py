"""Stage 1: files of a dataset -> Records. One file per dataset, named after it.

To add a dataset, write `omnidet/data/sources/<name>.py` with what `Source` asks for, and add the
module to SOURCES. Its `read` yields Records in a fixed order, opens only the dataset's own files,
and hands what it cannot use to the quarantine. It knows nothing of torch, tokens or resizing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Protocol

from omnidet.data.reading.annotations import GroundTruth, Piece
from omnidet.data.reading.quarantine import Quarantine
from omnidet.data.sources import annotated, cc12m, coco, flickr30k, laion, lvis, refcocog, refcocos
from omnidet.schema import Record


class Source(Protocol):
    """What a module in this folder offers."""

    @property
    def SOURCE(self) -> str:
        """Name of the dataset, which is also the name of the file."""
        ...

    @property
    def COLLECTION(self) -> str:
        """Collection that the images belong to: ids are `<collection>:<id>`, shared by datasets."""
        ...

    @property
    def IS_CURATED(self) -> bool:
        """Whether an id of the collection always names the same picture.

        Curated images are compared with those of the benchmarks by id. Web images, of which anybody
        may have a copy under another address, are compared by perceptual hash too.
        """
        ...

    @property
    def LEAKING_SPLITS(self) -> Mapping[str, str]:
        """Splits that share images with the dataset's own training split; empty for most datasets.

        The value is a word that the name of an evaluation set made of the split must contain, so
        that nobody takes its numbers for those of the benchmark.
        """
        ...

    def read(self, root: str, split: str, quarantine: Quarantine) -> Iterator[Record]:
        """Records of one split of the dataset under `root`, in a fixed order.

        Raises:
            FileNotFoundError: if a file is missing.
            ValueError: if a file is not in the dataset's format.
        """
        ...

    def pieces(
        self, root: str, split: str, quarantine: Quarantine, size: int = ...
    ) -> Iterator[Piece]:
        """The same records in pieces of about `size`, each of which any process can read.

        Order and cut depend on the files alone. Faults of the split as a whole go to `quarantine`,
        faults of a record to the quarantine that its piece is called with.
        """
        ...

    def check(self, root: str, split: str) -> None:
        """Raise FileNotFoundError with the remedy if the split is missing. Opens no large file."""
        ...

    def image_ids(self, root: str, split: str) -> set[str]:
        """`Record.image_id` of every image of the split, read from the annotations alone."""
        ...

    def ground_truth(self, root: str, split: str) -> GroundTruth | None:
        """The annotation file that the dataset's official evaluation reads, or None."""
        ...


SOURCES: tuple[Source, ...] = (
    coco,
    lvis,
    refcocog,
    refcocos,
    flickr30k,
    laion,
    cc12m,
    annotated,
)


def by_name(name: str) -> Source:
    """The source of that name. Raises ValueError that lists the known ones."""
    known = {source.SOURCE: source for source in SOURCES}
    if name not in known:
        raise ValueError(f"unknown dataset {name!r}: the known ones are {', '.join(known)}")
    return known[name]


def account(name: str, root: str) -> dict[str, Any] | None:
    """What was read and left out of a folder whose layout was not known; None for datasets."""
    return annotated.account(root) if name == annotated.SOURCE else None


def is_curated(image_id: str) -> bool:
    """Whether the id, `<collection>:<id>`, always names the same picture (`Source.IS_CURATED`)."""
    collection = image_id.partition(":")[0]
    return any(collection == source.COLLECTION and source.IS_CURATED for source in SOURCES)
