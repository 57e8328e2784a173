"""CVAT for images 1.1: one xml with an `<image>` for each picture;
https://docs.cvat.ai/docs/manual/advanced/xml_format/.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from xml.etree.ElementTree import Element

from omnidet.data.folder_formats import lookup
from omnidet.data.folder_formats.folder import Folder, split_of_file, split_of_folders
from omnidet.data.folder_formats.sheets import (
    NO_BOX,
    NO_NAME,
    NOT_SEARCHED,
    OTHER_SHAPE,
    Corners,
    Found,
    Shape,
    Sheet,
    no_box,
    number,
    outline_box,
    size_of,
    turned,
)
from omnidet.data.folder_formats.written_splits import splits_of
from omnidet.data.reading import annotations as files

_MARK = b"<annotations"
_CORNERS = ("xtl", "ytl", "xbr", "ybr")
_LINES = ("polyline", "points", "tag")
_SHAPES = ("box", "polygon", "ellipse", "mask", "polyline", "points", "skeleton", "cuboid", "tag")


def read(folder: Folder) -> Found | None:
    """All the files of the folder.

    Raises ValueError for one that is damaged, or holds the tracks of a video, and for a subset that
    is not a split beside others that are.
    """
    sheets: list[Sheet] = []
    notes: list[str] = []
    names: dict[str, None] = {}
    for path in folder.with_suffix(".xml"):
        content = folder.read_bytes(path)
        if _MARK not in content[:4096]:
            continue
        try:
            root = files.parse_xml(content)
        except ValueError as error:
            raise ValueError(
                f"{folder.root / path} looks like CVAT xml and is {error}: export it again"
            ) from error
        if root.tag != "annotations":
            continue
        if root.find("track") is not None:
            raise ValueError(
                f"{folder.root / path} holds tracks of a video: export the task as CVAT for "
                "images 1.1"
            )
        labels = [files.plain(label.findtext("name") or "") for label in root.iter("label")]
        names.update(dict.fromkeys(filter(None, labels)))
        covers = frozenset(filter(None, labels)) or None
        images = list(root.iter("image"))
        written = [(i.get("subset", ""), f"{folder.root / path}, {_where(i)}") for i in images]
        splits, note = splits_of(written, "the attribute 'subset'", is_split=False)
        notes += [f"{path}: {note}"] if note else []
        own = [_sheet(folder, path, image, covers, splits) for image in images]
        if len(own) > 1 and not any(sheet.shapes for sheet in own):  # a job that nobody has begun
            own = [replace(sheet, problem=sheet.problem or NOT_SEARCHED) for sheet in own]
        sheets += own
    return Found("CVAT xml", "xyxy", sheets, tuple(names), notes) if sheets else None


def _where(image: Element) -> str:
    return f"image {image.get('id', '')} {image.get('name', '')}"


def _sheet(
    folder: Folder,
    path: Path,
    image: Element,
    covers: frozenset[str] | None,
    splits: Mapping[str, str],
) -> Sheet:
    split = splits[image.get("subset", "")] or split_of_file(path)
    hit = lookup.find(folder, image.get("name", ""), path, split)
    shapes = tuple(_shape(thing) for thing in image if thing.tag in _SHAPES)
    where = _where(image)
    return Sheet(
        path,
        hit.picture,
        shapes,
        hit.problem,
        size_of(image.get("width"), image.get("height")),
        covers=covers,
        split=split or (split_of_folders(hit.picture) if hit.picture else ""),
        origin=hit.origin,
        where=f"{where} ({hit.detail})" if hit.detail else where,
        declared="" if hit.picture else image.get("name", ""),
    )


def _shape(thing: Element) -> Shape:
    name = files.plain(thing.get("label") or "") or None
    corners, problem = None, NO_BOX if thing.tag in _LINES else OTHER_SHAPE
    if thing.tag == "box":
        corners, problem = _box(thing), no_box(thing.get(corner) for corner in _CORNERS)
    elif thing.tag == "polygon":
        corners, problem = _outline(thing), "polygon that cannot be read"
    elif thing.tag == "ellipse":
        corners, problem = _ellipse(thing), "ellipse that cannot be read"
    elif thing.tag == "mask":
        corners, problem = _mask(thing), "mask that cannot be read"
    is_turned = thing.tag != "box" or bool(number(thing.get("rotation")))
    return Shape(
        name,
        corners,
        (NO_NAME if name is None else "") or ("" if corners else problem),
        is_outline=is_turned,
        where=thing.tag,
    )


def _numbers(thing: Element, *fields: str) -> list[float] | None:
    found = [number(thing.get(field)) for field in fields]
    return None if None in found else [value for value in found if value is not None]


def _box(thing: Element) -> Corners | None:
    found = _numbers(thing, *_CORNERS)
    if found is None:
        return None
    x0, y0, x1, y1 = found
    return turned((x0, y0, x1, y1), number(thing.get("rotation")) or 0.0)


def _outline(thing: Element) -> Corners | None:
    """`x,y;x,y;...`."""
    points = []
    for pair in (thing.get("points") or "").split(";"):
        x, _, y = pair.partition(",")
        found = number(x), number(y)
        if found[0] is None or found[1] is None:
            return None
        points.append((found[0], found[1]))
    return outline_box(points)


def _ellipse(thing: Element) -> Corners | None:
    found = _numbers(thing, "cx", "cy", "rx", "ry")
    if found is None:
        return None
    cx, cy, rx, ry = found
    angle = math.radians(number(thing.get("rotation")) or 0.0)
    half_width = math.hypot(rx * math.cos(angle), ry * math.sin(angle))
    half_height = math.hypot(rx * math.sin(angle), ry * math.cos(angle))
    return cx - half_width, cy - half_height, cx + half_width, cy + half_height


def _mask(thing: Element) -> Corners | None:
    found = _numbers(thing, "left", "top", "width", "height")
    if found is None:
        return None
    left, top, width, height = found
    return left, top, left + width, top + height
