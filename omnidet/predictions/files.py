"""What is written for each picture: drawn, cut out, and label files."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from omnidet.data.label_files.labelled import Labelled
from omnidet.predictions import formats

if TYPE_CHECKING:
    from PIL import Image

    from omnidet.inference.detections import Detections

QUALITY = 92
"""Of JPEGs that are written."""


def free_key(key: str, taken: Collection[str]) -> str:
    """The key, or with a number behind it if another picture has it: `a/b-2`.

    Args:
        taken: in lower case, for file systems that do not tell case.
    """
    found, number = key, 1
    while found.lower() in taken:
        number += 1
        found = f"{key}-{number}"
    return found


def labelled(line: Mapping[str, Any], path: str, with_scores: bool) -> Labelled:
    """A line of the journal as a picture with named boxes.

    Args:
        path: of the picture, as annotations spell it.
    """
    found = line["detections"]
    return Labelled(
        path,
        line["width"],
        line["height"],
        [tuple(entry["box"]) for entry in found],
        [entry["label"] for entry in found],
        [entry["score"] for entry in found] if with_scores else None,
    )


class PictureFiles:
    """Writes the files of one picture after the other.

    Args:
        folder: of the run.
        chosen: names of formats.
        names: all labels, in order.
    """

    def __init__(self, folder: Path, chosen: Sequence[str], names: Sequence[str]) -> None:
        self._folder, self._names = folder, names
        self._chosen = chosen
        self._each = [formats.LABELS[name] for name in chosen if name in formats.LABELS]

    def write(self, line: Mapping[str, Any], found: Detections) -> Mapping[str, Any]:
        """Write the files of a picture; returns its line.

        Args:
            line: of the journal.
            found: with its picture.
        """
        key = line["file"]
        if formats.DRAWN in self._chosen:
            _save(found.draw(), self._folder / "drawn" / f"{key}.jpg")
        if formats.CROPS in self._chosen:
            self._crops(key, found)
        for entry in self._each:
            if entry.each is not None:
                picture = labelled(line, line["image"], with_scores=True)
                target = self._folder / entry.name / f"{key}{entry.suffix}"
                write_text(target, entry.each(picture, self._names))
        return line

    def _crops(self, key: str, found: Detections) -> None:
        from omnidet.inference.drawing import crops

        if found.image is None:
            return
        cut = zip(crops(found.image, found), found.labels, strict=True)
        for number, (part, label) in enumerate(cut, start=1):
            folder = self._folder / "crops" / folder_name(label)
            _save(part, folder / f"{key}-{number}.jpg")


def folder_name(label: str) -> str:
    """A label as the name of a folder on any file system."""
    plain = re.sub(r'[\x00-\x1f<>:"|?*\\/]', "_", label).strip(" .")[:80]
    return plain or "_"


def write_text(target: Path, text: str) -> None:
    """Write a file whole or not at all."""
    with _replaced(target) as temporary:
        temporary.write_text(text, encoding="utf-8", errors="surrogateescape")


def write_bytes(target: Path, content: bytes) -> None:
    """Write a file whole or not at all."""
    with _replaced(target) as temporary:
        temporary.write_bytes(content)


def _save(picture: Image.Image, target: Path) -> None:
    with _replaced(target) as temporary:
        picture.save(temporary, "JPEG", quality=QUALITY)


class _replaced:  # noqa: N801  # used as a function
    """A temporary file that takes its place when the block ends well.

    It does not wait for the disk, as `storage` does: a picture that is lost with the machine's
    power is made again.
    """

    def __init__(self, target: Path) -> None:
        self._target = target
        self._temporary = target.with_name(f".{target.name[:200]}.part")

    def __enter__(self) -> Path:
        self._target.parent.mkdir(parents=True, exist_ok=True)
        return self._temporary

    def __exit__(self, kind: type[BaseException] | None, *rest: object) -> None:
        if kind is None:
            self._temporary.replace(self._target)
        else:
            self._temporary.unlink(missing_ok=True)
