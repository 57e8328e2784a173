"""LabelMe json, as labelme, AnyLabeling and X-AnyLabeling write it: one file a picture;
https://github.com/wkentaro/labelme.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from omnidet.data.folder_formats import json_kinds, lookup
from omnidet.data.folder_formats.folder import Folder, split_of_folders
from omnidet.data.folder_formats.lists import Lists
from omnidet.data.folder_formats.sheets import (
    NO_BOX,
    NO_NAME,
    NOT_FOUR_NUMBERS,
    Corners,
    Found,
    Shape,
    Sheet,
    number,
    outline_box,
    size_of,
)
from omnidet.data.reading import annotations as files
from omnidet.data.reading import json_stream

UNREADABLE = "file that is not json"
EMBEDDED = "picture that is only in the imageData of its json: save it as a file"
_MEMBERS = ("shapes", "imagePath", "imageData", "imageWidth", "imageHeight")
_FIELDS = ("label", "points", "shape_type")
_FRAMES = ("polygon", "rotation", "mask", "linestrip_closed")


def read(folder: Folder) -> Found | None:
    """Every file below the folder."""
    paths = json_kinds.paths_of(folder, "labelme")
    if not paths:
        return None
    lists = Lists(folder, paths)
    sheets = [_sheet(folder, path, lists) for path in paths]
    return Found("LabelMe json", "xyxy", sheets, notes=lists.notes())


def _sheet(folder: Folder, path: Path, lists: Lists) -> Sheet:
    try:
        # Members that are not lists, such as the picture itself in `imageData`, come as they are.
        keep = dict.fromkeys(_MEMBERS, _FIELDS)
        content = json_stream.load(folder.root / path, keep)
    except (ValueError, RecursionError):
        lost = (Shape(None, None, UNREADABLE),) * folder.read_bytes(path).count(b'"points"')
        return Sheet(path, None, lost, UNREADABLE)
    content = content if isinstance(content, dict) else {}
    declared = content.get("imagePath")
    hit = lookup.find_by_either(folder, declared if isinstance(declared, str) else "", path)
    entries = content.get("shapes")
    shapes = tuple(
        _shape(entry if isinstance(entry, dict) else {}, place)
        for place, entry in enumerate(entries if isinstance(entries, list) else [])
    )
    split = lists.of(path, hit.picture) or split_of_folders(path)
    return Sheet(
        path,
        hit.picture,
        shapes,
        EMBEDDED if hit.problem == lookup.NOT_THERE and content.get("imageData") else hit.problem,
        size_of(content.get("imageWidth"), content.get("imageHeight")),
        split=split or (split_of_folders(hit.picture) if hit.picture else ""),
        origin=hit.origin,
        where=f"({hit.detail})" if hit.detail else "",
    )


def _shape(entry: dict[str, Any], place: int) -> Shape:
    label, kind = entry.get("label"), entry.get("shape_type") or "polygon"
    is_named = isinstance(label, str | int | float) and not isinstance(label, bool)
    name = files.plain(str(label)) if is_named else ""
    points = _points(entry.get("points"))
    corners, problem = None, NO_BOX
    if points is None:
        problem = NOT_FOUR_NUMBERS
    elif kind in ("rectangle", "mask"):
        corners, problem = _box(points), NOT_FOUR_NUMBERS
    elif kind in _FRAMES:
        corners, problem = outline_box(points), "polygon that cannot be read"
    elif kind == "circle":
        corners, problem = _circle(points), "circle that cannot be read"
    return Shape(
        name or None,
        corners,
        "" if name and corners else problem if name else NO_NAME,
        is_outline=kind != "rectangle",
        where=f"shapes[{place}]",
    )


def _points(found: Any) -> list[tuple[float, float]] | None:
    points = []
    for point in found if isinstance(found, list) else [None]:
        if not isinstance(point, list) or len(point) != 2:
            return None
        x, y = number(point[0]), number(point[1])
        if x is None or y is None:
            return None
        points.append((x, y))
    return points


def _box(points: list[tuple[float, float]]) -> Corners | None:
    """Two opposite corners in any order, or all four."""
    if len(points) not in (2, 4):
        return None
    xs, ys = [x for x, _ in points], [y for _, y in points]
    return min(xs), min(ys), max(xs), max(ys)


def _circle(points: list[tuple[float, float]]) -> Corners | None:
    """Its centre and a point on it."""
    if len(points) != 2:
        return None
    (cx, cy), on_it = points
    radius = math.dist((cx, cy), on_it)
    return cx - radius, cy - radius, cx + radius, cy + radius
