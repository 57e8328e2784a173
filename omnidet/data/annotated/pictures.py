"""What every format is read into."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff")
"""Endings of picture files, in lower case."""
SPLITS = {
    "train": "train",
    "training": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "test": "test",
}
"""Words for a part of a dataset, as tools write them, and the one that is used here."""


@dataclass(frozen=True)
class Box:
    """One annotated box."""

    name: str
    xywh: tuple[float, float, float, float]
    """Pixels. However odd: the shard build judges it and names what it refuses."""
    crowd: bool = False
    """Frames a group: the name is not exhaustive in this image."""

    @property
    def area(self) -> float:
        """Square pixels; 0 for a box that is none."""
        width, height = self.xywh[2:]
        return width * height if width > 0 and height > 0 else 0.0


@dataclass(frozen=True)
class Picture:
    """One picture and its boxes."""

    path: Path
    boxes: tuple[Box, ...]
    size: tuple[int, int] | None = None
    """(width, height) as the annotation says, if it does."""


@dataclass(frozen=True, eq=False)
class Annotated:
    """An annotated folder as it was found."""

    format: str
    names: tuple[str, ...]
    """Class names in the order of the dataset."""
    splits: dict[str, list[Picture]]
    """`train`, `val`, `test`; what is in no split stands under ``."""
    problems: Counter[str] = field(default_factory=Counter)
    """What could not be used while reading, by reason."""

    def pictures(self) -> Iterator[Picture]:
        """All of them."""
        for members in self.splits.values():
            yield from members


def split_of(path: Path, root: Path) -> str:
    """The split that the names of the folders (or of the file) say, `` where none does."""
    parts = [*path.relative_to(root).parent.parts, path.stem]
    for part in reversed(parts):
        for word in part.lower().replace("-", "_").replace(".", "_").split("_"):
            if word.rstrip("0123456789") in SPLITS:
                return SPLITS[word.rstrip("0123456789")]
    return ""


def images_by_stem(root: Path) -> dict[str, list[Path]]:
    """Picture files below the root by their name without ending."""
    found: dict[str, list[Path]] = {}
    for path in sorted(root.rglob("*")):
        if path.suffix.lower() in SUFFIXES and path.is_file():
            found.setdefault(path.stem, []).append(path)
    return found


def nearest(candidates: Sequence[Path], to: Path) -> Path | None:
    """Of files with the same name the one whose folders agree most with those of `to`."""
    wanted = set(to.parts)
    return max(candidates, key=lambda path: len(wanted & set(path.parts)), default=None)
