"""The files of predictions: each rank writes rows as it finds them, then all become one list.

    rank 0: images 0, 2, 4 ... ─▶ lines ─┐
    rank 1: images 1, 3, 5 ... ─▶ lines ─┴▶ one JSON list in the order of the images

The list is the same for any number of ranks, and only the rows of one image of each rank are in
memory.
"""

from __future__ import annotations

import contextlib
import heapq
import json
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

PredictionRow = dict[str, Any]
"""What one benchmark keeps of one detection, phrase or image; its `Measure` knows the fields."""


def write_part(path: Path, images: Iterable[tuple[int, list[PredictionRow]]]) -> None:
    """Write the rows of images, which come by rising number."""
    with path.open("w", encoding="utf-8") as file:
        for number, rows in images:
            file.writelines(f"{number}\t{json.dumps(row, ensure_ascii=False)}\n" for row in rows)


def merge(parts: Sequence[Path], out: Path) -> None:
    """Merge the lines of all ranks into one JSON list, with one row in a line."""
    with contextlib.ExitStack() as files, out.open("w", encoding="utf-8") as file:
        streams = [files.enter_context(part.open(encoding="utf-8")) for part in parts]
        before = "[\n"
        for _, row in heapq.merge(*map(_numbered, streams), key=lambda item: item[0]):
            file.write(before + row)
            before = ",\n"
        file.write("[]\n" if before == "[\n" else "\n]\n")


def _numbered(lines: Iterable[str]) -> Iterator[tuple[int, str]]:
    for line in lines:
        number, _, row = line.rstrip("\n").partition("\t")
        yield int(number), row
