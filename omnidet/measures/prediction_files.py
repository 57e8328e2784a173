"""Predictions on their way to a file: each rank writes its images' rows to disk as it finds them, then they become one list.

    image 0, 2, 4 ... of rank 0 ─▶ lines ─┐
    image 1, 3, 5 ... of rank 1 ─▶ lines ─┴▶ one JSON list in the order of the images, the same for any number of ranks

Nothing is held but the rows of one image of each rank.
"""

from __future__ import annotations

import contextlib
import heapq
import json
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

PredictionRow = dict[str, Any]


def write_part(path: Path, images: Iterable[tuple[int, list[PredictionRow]]]) -> None:
    """Write the rows of images, given by rising number."""
    with path.open("w", encoding="utf-8") as file:
        for number, rows in images:
            file.writelines(f"{number}\t{json.dumps(row, ensure_ascii=False)}\n" for row in rows)


def merge(parts: Sequence[Path], out: Path) -> None:
    """Make the lines of all ranks one JSON list, one row a line: the official form."""
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
