"""CreateML json: a list of pictures, boxes by their centre in pixels;
https://developer.apple.com/documentation/createml/mlobjectdetector/datasource.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from omnidet.data.folder_formats import json_kinds, lookup
from omnidet.data.folder_formats.folder import Folder, parts_of, split_of_file, split_of_folders
from omnidet.data.folder_formats.sheets import (
    NO_NAME,
    NOT_FOUR_NUMBERS,
    Corners,
    Found,
    Shape,
    Sheet,
    number,
)
from omnidet.data.reading import annotations as files

_PICTURE = ("image", "imagefilename", "filename")
_BOXES = ("annotations", "annotation")


def read(folder: Folder) -> Found | None:
    """All the files of the folder. Raises ValueError for one that is not JSON."""
    sheets: list[Sheet] = []
    for path in json_kinds.paths_of(folder, "createml"):
        content = json_kinds.load(folder, path, "CreateML json")
        entries = [e for e in content if isinstance(e, dict)] if isinstance(content, list) else []
        folders = {tuple(parts_of(_declared(entry))[:-1]) for entry in entries}
        sheets += [
            _sheet(folder, path, entry, place, len(folders) == 1)
            for place, entry in enumerate(entries)
        ]
    return Found("CreateML json", "cxcywh", sheets) if sheets else None


def _declared(entry: Mapping[str, Any]) -> str:
    return next((entry[k] for k in _PICTURE if isinstance(entry.get(k), str)), "")


def _sheet(
    folder: Folder, path: Path, entry: Mapping[str, Any], place: int, is_sole_folder: bool
) -> Sheet:
    split, where = split_of_file(path), f"[{place}]"
    hit = lookup.find(folder, _declared(entry), path, split, is_sole_folder)
    found: list[Any] = next((entry[k] for k in _BOXES if isinstance(entry.get(k), list)), [])
    shapes = tuple(
        _shape(thing if isinstance(thing, dict) else {}, number_of)
        for number_of, thing in enumerate(found)
    )
    return Sheet(
        path,
        hit.picture,
        shapes,
        hit.problem,
        split=split or (split_of_folders(hit.picture) if hit.picture else ""),
        origin=hit.origin,
        where=f"{where} ({hit.detail})" if hit.detail else where,
    )


def _shape(thing: Mapping[str, Any], place: int) -> Shape:
    label = thing.get("label")
    name = files.plain(label) if isinstance(label, str) else ""
    corners = _corners(thing.get("coordinates"))
    problem = "" if corners else NOT_FOUR_NUMBERS
    return Shape(name or None, corners, problem if name else NO_NAME, where=f"annotations[{place}]")


def _corners(given: object) -> Corners | None:
    given = given if isinstance(given, dict) else {}
    x, y, width, height = (number(given.get(k)) for k in ("x", "y", "width", "height"))
    if x is None or y is None or width is None or height is None:
        return None
    return x - width / 2, y - height / 2, x + width / 2, y + height / 2
