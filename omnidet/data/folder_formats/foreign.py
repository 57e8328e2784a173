"""Formats that are not read: found only to be named."""

from __future__ import annotations

import re
from pathlib import Path

from omnidet.data.folder_formats.folder import Folder

_HEAD_BYTES = 1 << 16
_JSON_MARKS = {
    "via": (b'"_via_', b'"regions"'),
    "createml": (b'"coordinates"',),
    "supervisely": (b'"classTitle"',),
    "datumaro": (b'"dm_format_version"',),
    "scalabel": (b'"box2d"',),
    "darwin": (b'"bounding_box"',),
    "fiftyone": (b'"ground_truth":{"_cls"', b'"_cls": "Detection'),
    "vott": (b'"vott"', b'"boundingBox"'),
}
_COLUMNS = re.compile(rb"(xmin|x_min|x1|bbox|left|region_shape_attributes)", re.IGNORECASE)
_KITTI = re.compile(r"[A-Za-z_]+( -?[0-9.]+){14,15}|( ?-?[0-9.]+){8} [A-Za-z-]+ [0-9]")
_CREATED_BY = {".tfrecord": "tfrecord", ".tfrecords": "tfrecord", ".record": "tfrecord"}
_LINES = (".jsonl", ".ndjson", ".manifest")


def find(folder: Folder) -> dict[str, Path]:
    """The first file of each format that is known and not read."""
    found: dict[str, Path] = {}
    for path in folder.files:
        kind = _kind(folder, path)
        if kind:
            found.setdefault(kind, path)
    return found


def _kind(folder: Folder, path: Path) -> str:
    ending = path.suffix.lower()
    if ending in _CREATED_BY:
        return _CREATED_BY[ending]
    if ending not in (".json", ".csv", ".txt", ".vott", *_LINES):
        return ""
    with (folder.root / path).open("rb") as file:
        head = file.read(_HEAD_BYTES)
    if ending in (".json", ".vott"):
        return next((k for k, marks in _JSON_MARKS.items() if any(m in head for m in marks)), "")
    first = head.split(b"\n", 1)[0]
    if ending in _LINES:
        return "labelbox" if first.lstrip()[:1] == b"{" else ""
    if ending == ".csv":
        is_via = b"region_shape_attributes" in first
        return "via" if is_via else "csv" if _COLUMNS.search(first) else ""
    return "kitti" if _KITTI.match(first.decode("utf-8", "replace")) else ""
