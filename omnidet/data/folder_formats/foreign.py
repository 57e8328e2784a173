"""Formats that are not read: found only to be named."""

from __future__ import annotations

import re
from pathlib import Path

from omnidet.data.folder_formats.folder import Folder

_HEAD_BYTES = 1 << 16
_JSON_MARKS: dict[str, tuple[bytes, ...]] = {
    "vott": (b'"vott"', b'"boundingBox":{"height"', b'"videoSettings"'),
    "via": (b'"_via_', b'"shape_attributes"'),
    "supervisely": (b'"classTitle"',),
    "datumaro": (b'"dm_format_version"', b'"label_id"'),
    "scalabel": (b'"box2d"',),
    "fiftyone": (b'"_cls":"Detection', b'"bounding_box":['),
    "darwin": (b'"bounding_box":{',),
    "scale": (b'"task_id"', b'"type":"imageannotation"'),
    "dataloop": (b'"itemMetadata"', b'"datasetId"'),
    "via3": (b'"fid_list"',),
    "labelbox": (b'"data_row"', b'"LabeledData"', b'"ExternalID"'),
    "encord": (b'"label_hash"', b'"data_units"'),
    "cityscapes": (b'"imgHeight"',),
    "panoptic": (b'"segments_info"',),
    "captions": (b'"caption"',),
    "results": (b'"score"',),
}
"""Words, the first that fits; without the blanks between them."""
_COLUMNS = re.compile(
    rb"(xmin|x_min|\bx1\b|bbox|left|region_shape_attributes|rectanglelabels"
    rb"|\bx\b.*\by\b.*\bw(idth)?\b|\bcx\b|\bx_?cent|cent(er|re)_?x\b)",
    re.I,
)
_ROWS = re.compile(rb"[^,\n]+(,-?[0-9.]*){4,6},?[^,\n]*\r?$|(TRAIN|TEST|VALIDATION?|UNASSIGNED),")
"""Tables without a head line, as RetinaNet and AutoML have them."""
_TEXTS = {
    "kitti": re.compile(r"[A-Za-z_-]+( -?[0-9.]+){14,15}$"),
    "dota": re.compile(r"imagesource:|gsd:|(-?[0-9.]+ ){8}[A-Za-z-]+ [0-9]$"),
    "mot": re.compile(r"[0-9]+, ?-?[0-9]+(, ?-?[0-9.]+){4,8}$"),
    "icdar": re.compile(r"(-?[0-9.]+, ?){8}\D"),
    "paths": re.compile(r"\S+\.(jpe?g|png|bmp)( -?[0-9.]+(,-?[0-9.]+){4})+$", re.I),
    "wider": re.compile(r"\S+/\S+\.(jpe?g|png)\s+[0-9]+\s", re.I),
    "oid": re.compile(r"(?=.* [1-9][0-9]+\.)[A-Za-z][A-Za-z_ ]*( -?[0-9]+\.[0-9]+){4}$"),
}
"""By their first line that is not empty, of WIDER FACE by the second as well."""
_ENDINGS = {
    **dict.fromkeys((".tfrecord", ".tfrecords", ".record"), "tfrecord"),
    **dict.fromkeys((".parquet", ".arrow", ".feather"), "parquet"),
    **dict.fromkeys((".xls", ".xlsx", ".ods"), "sheet"),
    **dict.fromkeys((".mat", ".pkl", ".pickle", ".npy", ".npz", ".h5", ".hdf5"), "binary"),
    **dict.fromkeys((".mp4", ".mov", ".avi", ".mkv", ".webm"), "video"),
}
_SHARD = re.compile(r"\.(tfrecords?|record)-[0-9]+-of-[0-9]+$", re.IGNORECASE)
_LINES = (".jsonl", ".ndjson", ".manifest")
_LAST = ("panoptic", "captions", "results", "video", "binary", "wider")
"""Formats named last, because such files often lie next to the annotations that were meant."""


def find(folder: Folder) -> dict[str, Path]:
    """The first file of each format that is known and not read, the likeliest first."""
    found: dict[str, Path] = {}
    for path in folder.files:
        kind = _kind(folder, path)
        if kind:
            found.setdefault(kind, path)
    return dict(sorted(found.items(), key=lambda item: item[0] in _LAST))


def _kind(folder: Folder, path: Path) -> str:
    ending = path.suffix.lower()
    if _SHARD.search(path.name):
        return "tfrecord"
    if ending in _ENDINGS:
        return _ENDINGS[ending]
    if ending not in (".json", ".csv", ".tsv", ".txt", ".vott", *_LINES):
        return ""
    with (folder.root / path).open("rb") as file:
        head = file.read(_HEAD_BYTES)
    if ending in (".json", ".vott"):
        words = re.sub(rb"\s+", b"", head)
        return next((k for k, marks in _JSON_MARKS.items() if any(m in words for m in marks)), "")
    first = head.lstrip().split(b"\n", 1)[0]
    if ending in _LINES:
        return "lines" if first[:1] == b"{" else ""
    if ending in (".csv", ".tsv"):
        return "csv" if _COLUMNS.search(first) or _ROWS.match(first) else ""
    line, text = (part.decode("utf-8", "replace").strip() for part in (first, head))
    lines = {kind: text if kind == "wider" else line for kind in _TEXTS}
    return next((kind for kind, known in _TEXTS.items() if known.match(lines[kind])), "")
