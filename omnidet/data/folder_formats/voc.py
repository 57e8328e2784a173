"""Pascal VOC: one xml a picture; `ImageSets/Main/*.txt` for the splits.

Corners count from 1, the last pixel included.

http://host.robots.ox.ac.uk/pascal/VOC/voc2012/devkit_doc.pdf
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from pathlib import Path
from xml.etree.ElementTree import Element

from omnidet.data.folder_formats import lookup
from omnidet.data.folder_formats.folder import Folder, split_of_folders
from omnidet.data.folder_formats.lists import Lists
from omnidet.data.folder_formats.sheets import (
    NO_NAME,
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
from omnidet.data.reading import annotations as files

UNREADABLE = "file that is not xml"
MAX_BYTES = 10_000_000
"""An annotation is some kilobytes: a larger file is not parsed."""
_CORNERS = ("xmin", "ymin", "xmax", "ymax")
_ENCODING = re.compile(rb"""^\s*<\?xml[^>]*encoding=["']([A-Za-z0-9._-]+)["'][^>]*\?>""")


def read(folder: Folder) -> Found | None:
    """Every annotation below the folder."""
    parsed = {path: _root(folder, path) for path in folder.with_suffix(".xml")}
    ours = [path for path, root in parsed.items() if root is not None and root.tag == "annotation"]
    broken = [path for path, root in parsed.items() if root is None]
    if not ours:
        broken = [path for path in broken if _looks_like(folder, path)]
    if not ours and not broken:
        return None
    lists = Lists(folder, [*ours, *broken])
    _require_corners(folder, [root for root in parsed.values() if root is not None])
    sheets = []
    for path in sorted([*ours, *broken]):
        root = parsed[path]
        if root is None:
            lost = (Shape(None, None, UNREADABLE),) * folder.read_bytes(path).count(b"<object>")
            sheets.append(Sheet(path, None, lost, UNREADABLE))
        else:
            sheets.append(_sheet(folder, path, root, lists))
    notes = lists.notes()
    unlisted = sum(not lists.of(sheet.file, sheet.picture) for sheet in sheets if sheet.picture)
    if lists.files and unlisted:
        notes.append(f"{unlisted} annotated pictures are in none of the lists")
    return Found("Pascal VOC xml", "xyxy", sheets, notes=notes)


def _require_corners(folder: Folder, roots: list[Element]) -> None:
    """Raise ValueError if many boxes end before they begin: their fields are not corners."""
    ends = [
        (number(box.findtext("xmin")), number(box.findtext("xmax")))
        for root in roots
        for box in root.iter("bndbox")
    ]
    read = [(begin, end) for begin, end in ends if begin is not None and end is not None]
    turned = sum(end < begin for begin, end in read)
    if turned > max(1, 0.1 * len(read)):
        raise ValueError(
            f"{folder.root}: xmax is smaller than xmin in {turned} of {len(read)} boxes: Pascal "
            "VOC wants corners; "
            "these look like width and height"
        )


def _root(folder: Folder, path: Path) -> Element | None:
    """The root of a file; None where it is not xml."""
    if (folder.root / path).stat().st_size > MAX_BYTES:
        return None
    content = folder.read_bytes(path)
    try:
        declared = _ENCODING.match(content)
        if declared and declared[1].lower() in (
            b"gbk",
            b"gb2312",
            b"gb18030",
            b"big5",
            b"shift_jis",
            b"euc-kr",
        ):
            # Python's parser knows encodings of one byte a character, and Unicode's.
            text = content.decode(declared[1].decode())
            content = text[text.index("?>") + 2 :].encode()
        return files.parse_xml(content)
    except ValueError:
        return None


def _looks_like(folder: Folder, path: Path) -> bool:
    content = folder.read_bytes(path)[:MAX_BYTES]
    return b"<annotation" in content and b"<annotations" not in content


def _sheet(folder: Folder, path: Path, root: Element, lists: Lists) -> Sheet:
    hit = lookup.find_by_either(folder, (root.findtext("filename") or "").strip(), path)
    shapes = tuple(
        shape
        for place, thing in enumerate(root.iter("object"))
        if not _is_deleted(thing)
        for shape in _shapes(thing, place)
    )
    listed = lists.of(path, hit.picture) or split_of_folders(path)
    if not listed and hit.picture:
        listed = split_of_folders(hit.picture)
    return Sheet(
        path,
        hit.picture,
        shapes,
        hit.problem,
        size_of(root.findtext("size/width"), root.findtext("size/height")),
        split=listed,
        origin=hit.origin,
        where=f"({hit.detail})" if hit.detail else "",
    )


def _is_deleted(thing: Element) -> bool:
    """Whether an object was deleted: the web version of LabelMe keeps it in the file."""
    return (thing.findtext("deleted") or "").strip() == "1"


def _shapes(thing: Element, place: int) -> Iterator[Shape]:
    """One for each box of an object: several may bear its name."""
    name = files.plain(thing.findtext("name") or "") or None
    where, degrees = f"object {place + 1}", _degrees(thing)
    frames: list[Element | None] = [*thing.findall("bndbox")]
    for framed in frames or [None]:
        box = None if framed is None else _box(framed)
        around = _turned_box(thing) or _outline(thing)
        corners = turned(box, degrees) if box else around
        problem = "" if name else NO_NAME
        if corners is None and not problem:
            problem = no_box(() if framed is None else map(framed.findtext, _CORNERS))
        is_outline = box is None or bool(degrees)
        yield Shape(name, corners, problem, is_outline=is_outline, where=where)


def _turned_box(thing: Element) -> Corners | None:
    """The box around a turned one, as roLabelImg writes it: centre, sides and radians."""
    found = [number(thing.findtext(f"robndbox/{f}")) for f in ("cx", "cy", "w", "h", "angle")]
    cx, cy, width, height, angle = found
    if cx is None or cy is None or width is None or height is None or angle is None:
        return None
    x0, y0 = cx - width / 2, cy - height / 2
    return turned((x0, y0, x0 + width, y0 + height), math.degrees(angle))


def _degrees(thing: Element) -> float:
    """How far a box is turned, which CVAT writes among the attributes."""
    found = [a.findtext("value") for a in thing.iter("attribute") if _is_rotation(a)]
    return number(found[0]) or 0.0 if found else 0.0


def _is_rotation(attribute: Element) -> bool:
    return attribute.findtext("name") == "rotation"


def _box(framed: Element) -> Corners | None:
    """The corners, in whatever order they were drawn, from pixels that count from 1 to edges that
    count from 0.
    """
    found = [number(framed.findtext(corner)) for corner in _CORNERS]
    x0, y0, x1, y1 = found
    if x0 is None or y0 is None or x1 is None or y1 is None:
        return None
    if x0 == x1 or y0 == y1:  # tools that count otherwise write such boxes by accident
        return x0 - 1, y0 - 1, x1 - 1, y1 - 1
    # The last pixel is included: only the near corner moves.
    return min(x0, x1) - 1, min(y0, y1) - 1, max(x0, x1), max(y0, y1)


def _outline(thing: Element) -> Corners | None:
    """The box around a polygon: `x1 y1 x2 y2 ...` as Roboflow writes it, or `pt` as LabelMe of the
    web does.
    """
    polygon = thing.find("polygon")
    if polygon is None:
        return None
    points = []
    for x, y in _points(polygon):
        if x is None or y is None:
            return None
        points.append((x - 1, y - 1))
    return outline_box(points)


def _points(polygon: Element) -> Iterator[tuple[float | None, float | None]]:
    for point in polygon.iter("pt"):
        yield number(point.findtext("x")), number(point.findtext("y"))
    place = 1
    while (x := polygon.findtext(f"x{place}")) is not None:
        yield number(x), number(polygon.findtext(f"y{place}"))
        place += 1
