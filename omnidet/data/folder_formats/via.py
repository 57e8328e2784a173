"""VGG Image Annotator 1 and 2, json, csv or project; https://www.robots.ox.ac.uk/~vgg/software/via/.

A project lists every picture that was opened: one without a region was not looked at, as far as the
file says.
"""

from __future__ import annotations

import csv
import json
import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from omnidet.data.folder_formats import json_kinds, lookup
from omnidet.data.folder_formats.folder import Folder, split_of_file, split_of_folders
from omnidet.data.folder_formats.lists import text_of
from omnidet.data.folder_formats.sheets import (
    NO_BOX,
    NO_NAME,
    Corners,
    Found,
    Shape,
    Sheet,
    number,
    outline_box,
)
from omnidet.data.reading import annotations as files

NO_REGION = "picture without a region"
_USUAL = ("label", "class", "name", "category", "type", "object")
"""What people call the attribute that says what a region shows."""
_REGIONS = "region_shape_attributes"


@dataclass(frozen=True)
class _Entry:
    path: Path
    where: str
    declared: str
    regions: Sequence[Mapping[str, Any]]
    options: Mapping[str, Mapping[str, str]]
    """What a project says behind the numbers that it keeps for words, by attribute."""


def read(folder: Folder) -> Found | None:
    """All the files of the folder.

    Raises ValueError for one that is not JSON, and where nothing tells which attribute is the name.
    """
    entries = [
        entry
        for path in json_kinds.paths_of(folder, "via")
        for entry in _of_json(path, json_kinds.load(folder, path, "VIA json"))
    ]
    for path in folder.with_suffix(".csv"):
        entries += _of_csv(folder, path)
    if not entries:
        return None
    attribute = _attribute(folder, entries)
    sheets = [_sheet(folder, entry, attribute) for entry in entries]
    return Found("VIA json", "xyxy", sheets, notes=[f"names from the attribute {attribute!r}"])


def _of_json(path: Path, content: Any) -> Iterator[_Entry]:
    content = content if isinstance(content, dict) else {}
    listed, options = content.get("_via_img_metadata", content), _options(content)
    for own, entry in listed.items() if isinstance(listed, dict) else ():
        if isinstance(entry, dict) and isinstance(entry.get("filename"), str):
            regions = entry.get("regions")
            regions = list(regions.values()) if isinstance(regions, dict) else regions
            found = [r if isinstance(r, dict) else {} for r in regions or []]
            yield _Entry(path, own, entry["filename"], found, options)


def _options(content: Mapping[str, Any]) -> dict[str, dict[str, str]]:
    """The descriptions of the options that are called by numbers, which is what regions say."""
    attributes = content.get("_via_attributes")
    regions = attributes.get("region") if isinstance(attributes, dict) else None
    found: dict[str, dict[str, str]] = {}
    for own, attribute in regions.items() if isinstance(regions, dict) else ():
        options = attribute.get("options") if isinstance(attribute, dict) else None
        if isinstance(options, dict) and all(number(key) is not None for key in options):
            named = {key: name for key, value in options.items() if (name := _name(value))}
            found[own] = named if len(named) == len(options) else {}
    return found


def _of_csv(folder: Folder, path: Path) -> Iterator[_Entry]:
    lines = (text_of(folder, path) or "").splitlines()
    if not lines or _REGIONS not in lines[0]:
        return
    by_picture: dict[str, list[Mapping[str, Any]]] = {}
    for row in csv.DictReader(lines):
        name = row.get("filename") or row.get("#filename") or ""
        own = by_picture.setdefault(name, [])
        shape = _object(row.get(_REGIONS))
        if shape:
            attributes = _object(row.get("region_attributes"))
            own.append({"shape_attributes": shape, "region_attributes": attributes})
    for name, regions in by_picture.items():
        yield _Entry(path, name, name, regions, {})


def _object(text: str | None) -> dict[str, Any]:
    try:
        found = json.loads(text or "")
    except (ValueError, RecursionError):
        return {"name": "unreadable"} if (text or "").strip() else {}
    return found if isinstance(found, dict) else {}


def _attributes(region: Mapping[str, Any]) -> dict[str, Any]:
    found = region.get("region_attributes")
    return found if isinstance(found, dict) else {}


def _attribute(folder: Folder, entries: Sequence[_Entry]) -> str:
    said = [item for e in entries for r in e.regions for item in _attributes(r).items()]
    counts = Counter(k for k, _ in said)
    # Of several the first that holds words: a number stands for a name.
    worded = {k for k, value in said if (name := _name(value)) and number(name) is None}
    usual = [known for known in _USUAL for k in counts if k.casefold() == known]
    usual = [u for u in usual if any(k.casefold() == u for k in worded)] or usual
    names = [k for k in counts if k.casefold() in usual[:1]] or list(counts)
    if len(names) > 1:
        raise ValueError(
            f"{folder.root / entries[0].path}: regions have the attributes "
            f"{', '.join(map(repr, sorted(names)))}: call the one that names things 'label'"
        )
    return names[0] if names else _USUAL[0]


def _sheet(folder: Folder, entry: _Entry, attribute: str) -> Sheet:
    split = split_of_file(entry.path)
    hit = lookup.find(folder, entry.declared, entry.path, split)
    options = entry.options.get(attribute, {})
    shapes = tuple(_shape(region, i, attribute, options) for i, region in enumerate(entry.regions))
    return Sheet(
        entry.path,
        hit.picture,
        shapes,
        hit.problem or ("" if shapes else NO_REGION),
        split=split or (split_of_folders(hit.picture) if hit.picture else ""),
        origin=hit.origin,
        where=f"{entry.where} ({hit.detail})" if hit.detail else entry.where,
    )


def _shape(
    region: Mapping[str, Any], place: int, attribute: str, options: Mapping[str, str]
) -> Shape:
    name = _name(_attributes(region).get(attribute))
    name = options.get(name, name) if name else None
    drawn = region.get("shape_attributes")
    drawn = drawn if isinstance(drawn, dict) else {}
    corners = _corners(drawn)
    kind = drawn.get("name")
    problem = "" if corners else NO_BOX if kind in ("point", "polyline") else "region of no shape"
    return Shape(
        name,
        corners,
        problem if name else NO_NAME,
        is_outline=kind != "rect",
        where=f"regions[{place}]",
    )


def _name(value: object) -> str | None:
    """The text of an attribute; of check boxes, the only one that is ticked."""
    if isinstance(value, dict):
        ticked = [own for own, is_set in value.items() if is_set]
        value = ticked[0] if len(ticked) == 1 else ""
    is_named = isinstance(value, str | int | float) and not isinstance(value, bool)
    return files.plain(str(value)) or None if is_named else None


def _corners(drawn: Mapping[str, Any]) -> Corners | None:
    kind = drawn.get("name")
    if kind in ("polygon", "polyline_closed"):
        return _outline(drawn.get("all_points_x"), drawn.get("all_points_y"))
    if kind == "rect":
        x, y, width, height = (number(drawn.get(k)) for k in ("x", "y", "width", "height"))
        if x is None or y is None or width is None or height is None:
            return None
        return x, y, x + width, y + height
    if kind not in ("circle", "ellipse"):
        return None
    cx, cy = number(drawn.get("cx")), number(drawn.get("cy"))
    rx, ry = number(drawn.get("rx", drawn.get("r"))), number(drawn.get("ry", drawn.get("r")))
    if cx is None or cy is None or rx is None or ry is None:
        return None
    angle = number(drawn.get("theta")) or 0.0
    half_width = math.hypot(rx * math.cos(angle), ry * math.sin(angle))
    half_height = math.hypot(rx * math.sin(angle), ry * math.cos(angle))
    return cx - half_width, cy - half_height, cx + half_width, cy + half_height


def _outline(xs: object, ys: object) -> Corners | None:
    if not isinstance(xs, list) or not isinstance(ys, list) or len(xs) != len(ys):
        return None
    points = []
    for x, y in zip(map(number, xs), map(number, ys), strict=True):
        if x is None or y is None:
            return None
        points.append((x, y))
    return outline_box(points)
