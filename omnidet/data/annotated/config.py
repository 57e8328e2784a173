"""How an annotated folder is read. Imports no reader: recipes hold this."""

from __future__ import annotations

from dataclasses import dataclass

from omnidet.config import require

FORMATS = ("coco", "voc", "yolo", "cvat", "labelme", "label-studio", "createml", "via", "csv")
"""Names of the formats of `formats.FORMATS`."""
EXIF = ("upright", "stored")


@dataclass(frozen=True)
class ReadConfig:
    """How an annotated folder is read."""

    format: str = ""
    """Name of the format where a folder has several: one of `FORMATS`."""
    names: str = ""
    """File that maps class names to phrases, with lines `BoltWasher: lock washer`; local or
    `s3://`.
    """
    exif: str = ""
    """Which way up photographs that EXIF turns were drawn on, where the annotation does not say:
    `upright`, as viewers show them, or `stored`."""
    max_lost: float = 0.1
    """Share of the boxes that may be lost before the folder is refused."""

    def __post_init__(self) -> None:
        known = ", ".join(FORMATS)
        require(
            self.format in ("", *FORMATS),
            f"retrain.reading.format={self.format}: give one of {known}",
        )
        require(
            self.exif in ("", *EXIF),
            f"retrain.reading.exif={self.exif}: give {' or '.join(EXIF)}",
        )
        require(
            0 <= self.max_lost <= 1,
            f"retrain.reading.max_lost={self.max_lost:g}: give a share from 0 to 1",
        )
