"""Frames of a video that the annotations count from another number than the pictures do: tools
count them from 0, and programs that cut a video into pictures from 1. Each box would lie in the
next picture.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

from omnidet.data.folder_formats import lookup
from omnidet.data.folder_formats.folder import key
from omnidet.data.folder_formats.sheets import Sheet

LEAST = 5
"""Annotated pictures in a row, of which it means something that one before them is missing."""
_NUMBERED = re.compile(r"(.*?)([0-9]+)")


def require_in_step(root: Path, sheets: Sequence[Sheet], pictures: Sequence[Path]) -> None:
    """Raise ValueError where the numbers of annotations are those of the pictures, moved by one:
    of a row of pictures one end has no annotation, and beyond the other an annotation has no
    picture.
    """
    missing: dict[tuple[str, int], Sheet] = {}
    for sheet in sheets:
        if sheet.problem == lookup.NOT_THERE and sheet.picture is None:
            found = _numbered(Path(sheet.declared or sheet.file.name))
            missing.update({found: sheet} if found else {})
    if not missing:
        return
    annotated = {sheet.picture for sheet in sheets}
    rows: dict[tuple[Path, str], dict[int, Path]] = defaultdict(dict)
    for path in pictures:
        found = _numbered(path)
        if found:
            rows[path.parent, found[0]][found[1]] = path
    for (_, prefix), row in rows.items():
        first, last = min(row), max(row)
        without = [number for number, path in row.items() if path not in annotated]
        if len(row) != last - first + 1 or len(row) <= LEAST or len(without) != 1:
            continue
        for end, beyond in ((last, first - 1), (first, last + 1)):
            if without == [end] and (prefix, beyond) in missing:
                raise ValueError(
                    f"{root / row[end]} has no annotation, and {missing[prefix, beyond].place} has "
                    "no picture: the annotations count the frames from another number, and each "
                    "box would lie in another picture; rename the one or the other, or take both "
                    "away if they are left over"
                )


def _numbered(path: Path) -> tuple[str, int] | None:
    """The name without its ending and the number at its end."""
    found = _NUMBERED.fullmatch(key(path.stem))
    return (found[1], int(found[2])) if found else None
