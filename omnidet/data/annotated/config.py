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
    val_share: float = 0.0
    """Share of the pictures that is kept for the evaluation, whatever the folder says. 0: as the
    folder is split, else a fifth."""
    split_file: str = ""
    """File with lines `path split` or `path,split`; local or `s3://`."""
    fold: str = ""
    """`2/5` cuts the pictures into five folds and keeps the second for the evaluation."""

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
        require(
            0 <= self.val_share < 1,
            f"retrain.reading.val_share={self.val_share:g}: give a share from 0 to below 1",
        )
        if self.fold:
            number, of = self.fold_of()
            require(
                of >= 2 and 1 <= number <= of,
                f"retrain.reading.fold={self.fold}: give one such as 2/5, from 1/5 to 5/5",
            )
        given = [n for n in ("val_share", "split_file", "fold") if getattr(self, n)]
        require(
            len(given) <= 1,
            f"retrain.reading: {' and '.join(given)} both say what is evaluated on: give one",
        )

    def chosen(self) -> dict[str, object]:
        """What the user chose that makes another dataset of a folder; empty where the folder
        decides."""
        names = ("format", "names", "exif", "val_share", "split_file", "fold")
        return {name: getattr(self, name) for name in names if getattr(self, name)}

    def fold_of(self) -> tuple[int, int]:
        """The number of the fold, from 1, and of how many; (0, 0) for what is none."""
        number, _, of = self.fold.partition("/")
        return (int(number), int(of)) if number.isdecimal() and of.isdecimal() else (0, 0)
