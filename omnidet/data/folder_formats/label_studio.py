"""Label Studio's own export, JSON or JSON-MIN: a list of tasks, boxes in percent;
https://labelstud.io/guide/export.
"""

from __future__ import annotations

import json
import math
import urllib.parse
from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from omnidet.data.folder_formats import json_kinds, lookup
from omnidet.data.folder_formats.folder import Folder, parts_of, split_of_file, split_of_folders
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

NOT_SUBMITTED = "task without a submitted annotation"
NO_PICTURE = "task without a picture"
SEVERAL = "task with several pictures, and its regions do not say in which they are"
TURNED = "shape drawn on a picture that was turned in the tool"
_LABELS = (
    "rectanglelabels",
    "polygonlabels",
    "ellipselabels",
    "brushlabels",
    "keypointlabels",
    "labels",
)


def read(folder: Folder) -> Found | None:
    """All the files of the folder. Raises ValueError for one that cannot be read."""
    sheets: list[Sheet] = []
    for path in json_kinds.paths_of(folder, "label studio"):
        try:
            tasks = json.loads(folder.read_bytes(path))
        except (ValueError, RecursionError) as error:
            raise ValueError(
                f"{folder.root / path} looks like an export of Label Studio and is not JSON "
                f"({error}): export it again"
            ) from error
        listed = tasks if isinstance(tasks, list) else []
        tasks = [task for task in listed if isinstance(task, dict)]
        spelled = [_spelled(task) for task in tasks]
        is_sole = len({tuple(parts_of(name)[:-1]) for names in spelled for name in names[-1:]}) == 1
        for place, (task, names) in enumerate(zip(tasks, spelled, strict=True)):
            sheets += _sheets(folder, path, task, place, names, is_sole)
    return Found("Label Studio json", "xyxy", sheets) if sheets else None


def _sheets(
    folder: Folder,
    path: Path,
    task: Mapping[str, Any],
    place: int,
    names: list[str],
    is_sole_folder: bool,
) -> list[Sheet]:
    """A sheet for each annotation that somebody submitted."""
    split, where = split_of_file(path), f"task {task.get('id', place)}"
    own, results = f"{path} {where}", list(_results(task))
    hits = [lookup.find(folder, name, path, split, is_sole_folder) for name in names]
    if not hits:
        drawn = tuple(shape for _, result in results for shape in _shapes(result))
        return [Sheet(path, None, drawn, NO_PICTURE, where=where)]
    hit = next((hit for hit in hits if hit.picture is not None), hits[0])
    found = list(dict.fromkeys(hit.picture for hit in hits if hit.picture is not None))
    if len(found) > 1 and not folder.same(found):
        hit = lookup.Hit(None, SEVERAL, f"{found[0]} and {found[1]}")
    split = split or (split_of_folders(hit.picture) if hit.picture else "")
    where = f"{where} ({hit.detail})" if hit.detail else where
    if not results:
        problem = hit.problem or NOT_SUBMITTED
        return [Sheet(path, hit.picture, (), problem, split=split, where=where)]
    return [
        Sheet(
            path,
            hit.picture,
            tuple(_shapes(result)),
            hit.problem,
            _size(result),
            unit="shares",
            split=split,
            origin=hit.origin,
            where=where,
            series=f"{own} annotation {name}",
        )
        for name, result in results
    ]


def _results(task: Mapping[str, Any]) -> Iterator[tuple[object, list[Mapping[str, Any]]]]:
    """The lists of regions, and what tells them apart: one for each submitted annotation, or those
    of JSON-MIN, which has a task for each annotation and in it a list for each tool.
    """
    annotations = task.get("annotations", task.get("completions"))
    if isinstance(annotations, list):
        valid = [
            (place, annotation)
            for place, annotation in enumerate(annotations)
            if isinstance(annotation, dict) and not annotation.get("was_cancelled")
        ]
        # A reviewer has said which of several is right.
        right = [(place, a) for place, a in valid if a.get("ground_truth") is True]
        for place, annotation in right or valid:
            result = annotation.get("result")
            result = result if isinstance(result, list) else []
            yield place, [r for r in result if isinstance(r, dict)]
        return
    lists = [value for value in task.values() if isinstance(value, list)]
    regions = [r for found in lists if all(map(_is_region, found)) for r in found]
    if regions:
        yield task.get("annotation_id", 0), [{**region, "value": region} for region in regions]


def _is_region(entry: object) -> bool:
    return isinstance(entry, dict) and "original_width" in entry


def _spelled(task: Mapping[str, Any]) -> list[str]:
    """What the task says of its picture: the name of the upload, then the address."""
    data = task.get("data", task)
    data = data if isinstance(data, dict) else {}
    addresses = [v for k, v in data.items() if isinstance(v, str) and _is_picture(k, v)]
    found = [task["file_upload"]] if isinstance(task.get("file_upload"), str) else []
    for address in addresses:
        query = urllib.parse.urlsplit(address.replace("\\", "/")).query
        local = urllib.parse.parse_qs(query).get("d", [])
        found += local or [address.partition("?")[0]]
    return [name for name in found if name.strip()]


def _is_picture(field: str, value: str) -> bool:
    named = Path(value.partition("?")[0]).suffix or "?d=" in value
    return field in ("image", "img", "picture", "photo", "url") or ("/" in value and bool(named))


def _size(result: list[Mapping[str, Any]]) -> tuple[int, int] | None:
    sizes = {size_of(r.get("original_width"), r.get("original_height")) for r in result}
    return sizes.pop() if len(sizes) == 1 else None


def _shapes(result: list[Mapping[str, Any]]) -> Iterator[Shape]:
    """One shape for each label of each region. Labels may be in a separate entry with the id of the
    region.
    """
    labels: dict[Any, dict[str, None]] = defaultdict(dict)
    regions: dict[Any, Mapping[str, Any]] = {}
    for place, entry in enumerate(result):
        value = entry.get("value")
        value = value if isinstance(value, dict) else {}
        own = entry.get("id") if isinstance(entry.get("id"), str | int) else f"entry {place}"
        for kind in _LABELS:
            given = value.get(kind)
            for label in given if isinstance(given, list) else []:
                labels[own][files.plain(str(label))] = None
        is_region = any(k in value for k in ("x", "points", "rle")) or entry.get("type") in _LABELS
        if is_region and (own not in regions or "x" in value):
            regions[own] = entry
    for own, entry in regions.items():
        corners, problem, is_outline = _box(entry)
        for name in filter(None, labels[own]):
            yield Shape(name, corners, problem, is_outline=is_outline, where=f"region {own}")
        if not any(labels[own]):
            yield Shape(None, corners, NO_NAME, where=f"region {own}")


def _box(entry: Mapping[str, Any]) -> tuple[Corners | None, str, bool]:
    """Corners as shares of the picture, or why there are none; whether they were computed."""
    value: Mapping[str, Any] = entry["value"] if isinstance(entry.get("value"), dict) else {}
    if number(entry.get("image_rotation")):
        return None, TURNED, False
    if isinstance(value.get("points"), list):
        corners = _outline(value["points"])
        return corners, "" if corners else "polygon that cannot be read", True
    if "radiusX" in value:
        found = [number(value.get(k)) for k in ("x", "y", "radiusX", "radiusY", "rotation")]
        cx, cy, rx, ry, turn = found
        if cx is None or cy is None or rx is None or ry is None or turn:
            return None, "ellipse that cannot be read", True
        return _shares(cx - rx, cy - ry, cx + rx, cy + ry), "", True
    if "rle" in value:
        return None, OTHER_SHAPE, False
    if "width" not in value or "height" not in value:
        return None, NO_BOX, False
    found = [number(value.get(k)) for k in ("x", "y", "width", "height")]
    x, y, width, height = found
    if x is None or y is None or width is None or height is None:
        return None, NOT_FOUR_NUMBERS, False
    turn = number(value.get("rotation")) or 0.0
    if not turn:
        return _shares(x, y, x + width, y + height), "", False
    size = size_of(entry.get("original_width"), entry.get("original_height"))
    if size is None:
        return None, "turned box without the size of its picture", True
    return _turned(x, y, width, height, turn, size), "", True


def _turned(
    x: float, y: float, width: float, height: float, degrees: float, size: tuple[int, int]
) -> Corners:
    """The box around one that is turned clockwise about its upper left corner; percent of a picture
    of the size.
    """
    cos, sin = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    corners = []
    for right, down in ((0.0, 0.0), (width, 0.0), (width, height), (0.0, height)):
        across, along = right * size[0], down * size[1]
        corners.append(
            (x + (across * cos - along * sin) / size[0], y + (across * sin + along * cos) / size[1])
        )
    xs, ys = [a for a, _ in corners], [b for _, b in corners]
    return _shares(min(xs), min(ys), max(xs), max(ys))


def _outline(points: list[Any]) -> Corners | None:
    found = []
    for point in points:
        x, y = (
            (number(v) for v in point)
            if isinstance(point, list) and len(point) == 2
            else (None, None)
        )
        if x is None or y is None:
            return None
        found.append((x, y))
    box = outline_box(found)
    return _shares(*box) if box else None


def _shares(x0: float, y0: float, x1: float, y1: float) -> Corners:
    return x0 / 100, y0 / 100, x1 / 100, y1 / 100
