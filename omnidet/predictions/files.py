"""What is written for each picture: drawn, cut out, and label files."""

from __future__ import annotations

import io
import re
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from omnidet import storage
from omnidet.data.label_files.labelled import Labelled
from omnidet.predictions import formats

if TYPE_CHECKING:
    from PIL import Image

    from omnidet.inference.detections import Detections

QUALITY = 92
"""Of JPEGs that are written."""
_LISTS = ("classes", "predefined_classes")
"""What a list of names is called among labels of YOLO: no picture's labels may be."""


def free_key(key: str, taken: Collection[str], numbers: dict[str, int] | None = None) -> str:
    """The key, or with a number behind it if another picture has it: `a/b-2`.

    Args:
        taken: in lower case, for file systems that do not tell case.
        numbers: the last number of each key in lower case, which is kept here: thousands of
            pictures may have one name, and the next one does not try all numbers again.
    """
    numbers = {} if numbers is None else numbers
    found, number = key, numbers.get(key.lower(), 1)
    while found.lower() in taken or PurePosixPath(found.lower()).name in _LISTS:
        number += 1
        found = f"{key}-{number}"
    numbers[key.lower()] = number
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
            drawn = self._folder / "drawn" / f"{key}.jpg"
            write_picture(found.draw(), drawn, quality=QUALITY)
        if formats.CROPS in self._chosen:
            self._crops(key, found)
        for entry in self._each:
            if entry.each is not None:
                picture = labelled(line, line["image"], with_scores=True)
                target = self._folder / entry.name / f"{key}{entry.suffix}"
                write_text(target, entry.each(picture, self._names))
        return line

    def written(self, line: Mapping[str, Any]) -> list[str]:
        """The files of a line, by their path in the folder."""
        key = line["file"]
        found = [f"drawn/{key}.jpg"] if formats.DRAWN in self._chosen else []
        if formats.CROPS in self._chosen:
            entries = enumerate(line["detections"], start=1)
            found += [f"crops/{folder_name(e['label'])}/{key}-{n}.jpg" for n, e in entries]
        each = [entry for entry in self._each if entry.each is not None]
        return found + [f"{entry.name}/{key}{entry.suffix}" for entry in each]

    def corrected(self, old: Mapping[str, Any], new: Mapping[str, Any]) -> str | None:
        """A label file that is neither as the old line of a picture had it nor as the new one will,
        by its path in the folder: somebody corrected it.
        """
        for entry in self._each:
            path = f"{entry.name}/{new['file']}{entry.suffix}"
            if entry.each is None or not (self._folder / path).is_file():
                continue
            ours = (labelled(line, line["image"], with_scores=True) for line in (old, new))
            texts = [encoded(entry.each(picture, self._names)) for picture in ours]
            if (self._folder / path).read_bytes() not in texts:
                return path
        return None

    def by_name(self, line: Mapping[str, Any]) -> str | None:
        """The file of a line that readers look for by the name of the picture: that of YOLO, which
        does not say what it is about.
        """
        yolo = formats.LABELS["yolo"]
        return f"{yolo.name}/{line['file']}{yolo.suffix}" if yolo.name in self._chosen else None

    def _crops(self, key: str, found: Detections) -> None:
        from omnidet.inference.drawing import crops

        if found.image is None:
            return
        cut = zip(crops(found.image, found), found.labels, strict=True)
        for number, (part, label) in enumerate(cut, start=1):
            folder = self._folder / "crops" / folder_name(label)
            write_picture(part, folder / f"{key}-{number}.jpg", quality=QUALITY)


def folder_name(label: str) -> str:
    """A label as the name of a folder on any file system."""
    plain = re.sub(r'[\x00-\x1f<>:"|?*\\/]', "_", label).strip(" .")[:80]
    return plain or "_"


def write_text(target: Path, text: str) -> None:
    """Write a file whole or not at all."""
    with storage.written_whole(target) as temporary:
        temporary.write_bytes(encoded(text))


def encoded(text: str) -> bytes:
    """Text as it is written: a byte of a name that is not UTF-8 as an escape."""
    return text.encode("utf-8", "backslashreplace")


def write_bytes(target: Path, content: bytes) -> None:
    """Write a file whole or not at all."""
    with storage.written_whole(target) as temporary:
        temporary.write_bytes(content)


def write_picture(picture: Image.Image, target: Path, **settings: Any) -> None:
    """Write a picture whole or not at all, in the format that its ending names.

    Args:
        settings: of Pillow's writer for the format.
    """
    write_bytes(target, _encoded(picture, target, settings))


def write_new_picture(picture: Image.Image, target: Path) -> bool:
    """Write a picture as `write_picture` does, unless there is a file; returns whether it did."""
    return storage.write_bytes_if_absent(target, _encoded(picture, target, {}))


def _encoded(picture: Image.Image, target: Path, settings: Mapping[str, Any]) -> bytes:
    from PIL import Image

    # Not straight into the file: Pillow does not notice if only a part of a JPEG fits on the disk.
    content = io.BytesIO()
    kind = Image.registered_extensions()[target.suffix.lower()]
    picture.save(content, kind, **settings)
    return content.getvalue()
