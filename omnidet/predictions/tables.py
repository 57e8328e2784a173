"""Files about all pictures, made from the journal when every picture was looked at."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any

from omnidet.data.label_files import coco, label_studio, yolo
from omnidet.data.label_files.labelled import Labelled
from omnidet.predictions import formats
from omnidet.predictions.files import labelled
from omnidet.predictions.journal import Journal

_COLUMNS = ("image", "width", "height", "label", "score", "x0", "y0", "x1", "y1", "phrase")
Parts = Callable[[], Iterator[str]]


class Pictures:
    """The pictures of a journal, as often as they are asked for: none is kept in memory."""

    def __init__(self, journal: Journal, with_scores: bool, path: str = "image") -> None:
        """Args:
        path: the member of a line that annotations spell.
        """
        self._journal, self._with_scores, self._path = journal, with_scores, path

    def __iter__(self) -> Iterator[Labelled]:
        for line in self._journal.lines():
            yield labelled(line, line[self._path], self._with_scores)


def tables(journal: Journal, chosen: Sequence[str], names: Sequence[str]) -> dict[str, Parts]:
    """The files about all pictures that the formats ask for: relative path -> its text in parts.

    Args:
        names: all labels, in order.
    """
    pictures = Pictures(journal, with_scores=True)
    made: dict[str, Parts] = {}
    if formats.CSV in chosen:
        made["predictions.csv"] = lambda: rows(journal.lines())
    if formats.COCO in chosen:
        made["coco/results.json"] = lambda: coco.results(
            pictures, names, image_ids(line["image"] for line in journal.lines())
        )
        made[f"coco/{coco.BESIDE}"] = lambda: coco.whole(
            pictures, names, image_ids(line["image"] for line in journal.lines())
        )
    if "yolo" in chosen:
        made["yolo/classes.txt"] = lambda: iter(f"{' '.join(name.split())}\n" for name in names)
    if "cvat" in chosen:
        made["cvat/annotations.xml"] = lambda: _whole("cvat", pictures, names)
    if "label-studio" in chosen:
        made["label-studio/tasks.json"] = lambda: _whole("label-studio", pictures, names)
        made["label-studio/interface.xml"] = lambda: iter([label_studio.interface(names)])
    return made


def dataset_tables(journal: Journal, kind: str, names: Sequence[str]) -> dict[str, Parts]:
    """The files of a dataset in one format, beside those of each picture.

    Lines of the journal say in `picture` where the picture lies below `images/`.
    """
    pictures = Pictures(journal, with_scores=False, path="picture")
    made: dict[str, Parts] = {}
    entry = formats.LABELS[kind]
    if entry.whole is not None:
        made[entry.folder] = lambda: _whole(kind, pictures, names)
    if kind == "yolo":
        made["data.yaml"] = lambda: iter([yolo.description(names, "images")])
    if kind == "label-studio":
        below = Pictures(journal, with_scores=False, path="below")
        made[entry.folder] = lambda: _whole(kind, below, names)
        made["interface.xml"] = lambda: iter([label_studio.interface(names)])
    return made


def _whole(kind: str, pictures: Iterable[Labelled], names: Sequence[str]) -> Iterator[str]:
    whole = formats.LABELS[kind].whole
    assert whole is not None
    return whole(pictures, names)


def image_ids(images: Iterable[str]) -> list[int]:
    """Ids of pictures for COCO: the numbers that their files are called by, as COCO's are, where
    all of them are and no two are the same; else from 1.
    """
    stems = [PurePosixPath(name).stem for name in images]
    if all(stem.isascii() and stem.isdecimal() and len(stem) < 18 for stem in stems):
        numbers = [int(stem) for stem in stems]
        if len(set(numbers)) == len(numbers):
            return numbers
    return list(range(1, len(stems) + 1))


def rows(lines: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    """A csv table with a row for each detection."""
    buffer = io.StringIO()
    table = csv.writer(buffer, lineterminator="\n")
    table.writerow(_COLUMNS)
    for line in lines:
        for entry in line["detections"]:
            own = line["image"], line["width"], line["height"], entry["label"], entry["score"]
            table.writerow([*own, *entry["box"], entry.get("phrase", entry["label"])])
        yield buffer.getvalue()
        buffer.seek(0)
        buffer.truncate()
    yield buffer.getvalue()
