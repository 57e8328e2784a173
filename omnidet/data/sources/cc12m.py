"""CC12M as WebDataset tars: `*.tar` with `<key>.jpg` and `<key>.txt` or `<key>.json` (`tar_pairs`).

https://github.com/google-research-datasets/conceptual-12m. `omnidet download cc12m` fetches such
tars, and `omnidet fetch-images` makes them from the list of addresses.
"""

from __future__ import annotations

from collections.abc import Iterator

from omnidet.data.reading import annotations as files
from omnidet.data.reading import tar_pairs
from omnidet.data.reading.annotations import PIECE_UNITS, Piece
from omnidet.data.reading.dataset_folder import DataFolder
from omnidet.data.reading.quarantine import Quarantine
from omnidet.schema import Record

SOURCE = "cc12m"
COLLECTION = "cc12m"
IS_CURATED = False
LEAKING_SPLITS: dict[str, str] = {}
SPLIT = "train"


def read(root: str, split: str, quarantine: Quarantine) -> Iterator[Record]:
    """One Record per pair, sorted by tar name and key. Only one image is in memory at a time."""
    return files.chained(pieces(root, split, quarantine), quarantine)


def pieces(
    root: str, split: str, quarantine: Quarantine, size: int = PIECE_UNITS
) -> Iterator[Piece]:
    """The same, one tar per piece: how many pairs a tar holds is known only once it is read."""
    yield from tar_pairs.pieces(SOURCE, DataFolder(root), _tars(root, split))


def check(root: str, split: str) -> None:
    """Raise FileNotFoundError if there is no tar."""
    _tars(root, split)


def image_ids(root: str, split: str) -> set[str]:
    """Ids of all keys that have an image."""
    return tar_pairs.image_ids(SOURCE, DataFolder(root), _tars(root, split))


def ground_truth(root: str, split: str) -> None:
    """None: the dataset is not evaluated on."""
    return


def _tars(root: str, split: str) -> list[str]:
    if split != SPLIT:
        raise ValueError(f"cc12m has no split {split!r}: use {SPLIT!r}, the only one")
    found = DataFolder(root).names(".tar")
    if not found:
        raise FileNotFoundError(f"{root}/*.tar does not exist: put the WebDataset tars there")
    return found
