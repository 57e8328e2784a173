"""LabelMe json, as labelme, AnyLabeling and X-AnyLabeling write it: one file a picture;
https://github.com/wkentaro/labelme.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from omnidet.counted import counted
from omnidet.data.folder_formats import json_kinds, lookup
from omnidet.data.folder_formats.folder import Folder, split_of_folders
from omnidet.data.folder_formats.lists import Lists
from omnidet.data.folder_formats.sheets import (
    NO_BOX,
    NO_NAME,
    NOT_FOUR_NUMBERS,
    OTHER_SHAPE,
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
_FIELDS = ("label", "points", "shape_type", "group_id")
_FRAMES = ("polygon", "rotation", "quadrilateral", "linestrip_closed")
_LINES = ("point", "points", "line", "linestrip", "polyline")
_GROUP = re.compile(rb'"group_id":\s*("[^"]*"|[^,\s}\]]+)')
_PARTS = ("polygon", "mask")
"""Kinds of shapes that may be parts of one thing."""


def read(folder: Folder) -> Found | None:
    """Every file below the folder."""
    paths = json_kinds.paths_of(folder, "labelme")
    if not paths:
        return None
    lists = Lists(folder, paths)
    joined: list[str] | None = [] if _have_groups(folder, paths) else None
    sheets = [_sheet(folder, path, lists, joined) for path in paths]
    notes = lists.notes()
    if joined:
        notes.append(
            f"{counted(len(joined), 'outline')} joined to others of the same label and group_id, "
            f"as parts of one thing (first: {joined[0]})"
        )
    return Found("LabelMe json", "xyxy", sheets, notes=notes)


def _have_groups(folder: Folder, paths: Sequence[Path]) -> bool:
    """Whether group_id tells shapes apart: some scripts write the same number for all."""
    seen: set[bytes] = set()
    for path in paths:
        seen.update(_GROUP.findall(folder.read_bytes(path)))
        if len(seen) > 1:
            return True
    return False


def _sheet(folder: Folder, path: Path, lists: Lists, joined: list[str] | None) -> Sheet:
    """`joined`: gets where each outline is that became a part of another; None: none does."""
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
    listed = content.get("shapes")
    entries = [
        e if isinstance(e, dict) else {} for e in (listed if isinstance(listed, list) else [])
    ]
    shapes = [_shape(entry, place) for place, entry in enumerate(entries)]
    if joined is not None:
        shapes, parts = _joined(entries)
        joined += [f"{path} {shape.where}" for shape in parts]
    split = lists.of(path, hit.picture) or split_of_folders(path)
    return Sheet(
        path,
        hit.picture,
        tuple(shapes),
        EMBEDDED if hit.problem == lookup.NOT_THERE and content.get("imageData") else hit.problem,
        size_of(content.get("imageWidth"), content.get("imageHeight")),
        split=split or (split_of_folders(hit.picture) if hit.picture else ""),
        origin=hit.origin,
        where=f"({hit.detail})" if hit.detail else "",
    )


def _joined(entries: Sequence[dict[str, Any]]) -> tuple[list[Shape], list[Shape]]:
    """The shapes, and those that became a part of one: something hides the middle of a thing, and
    its outlines bear one label and one group_id. labelme's own converters join them as well.
    """
    found: list[Shape] = []
    parts: list[Shape] = []
    first: dict[tuple[str, str], int] = {}
    for place, entry in enumerate(entries):
        shape, group = _shape(entry, place), entry.get("group_id")
        is_part = (entry.get("shape_type") or "polygon") in _PARTS and isinstance(group, int | str)
        if not is_part or shape.corners is None or shape.name is None:
            found.append(shape)
            continue
        whole = first.setdefault((shape.name, str(group)), len(found))
        if whole == len(found):
            found.append(shape)
            continue
        x0, y0, x1, y1 = zip(found[whole].corners or shape.corners, shape.corners, strict=True)
        found[whole] = replace(found[whole], corners=(min(x0), min(y0), max(x1), max(y1)))
        parts.append(shape)
    return found, parts


def _shape(entry: dict[str, Any], place: int) -> Shape:
    label, kind = entry.get("label"), entry.get("shape_type") or "polygon"
    is_named = isinstance(label, str | int | float) and not isinstance(label, bool)
    name = files.plain(str(label)) if is_named else ""
    points = _points(entry.get("points"))
    corners, problem = None, NO_BOX if kind in _LINES else OTHER_SHAPE
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
