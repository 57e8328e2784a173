"""COCO json: any file with `images`, `annotations` and `categories`;
https://cocodataset.org/#format-data.

Of an LVIS json the names that were verified absent count as looked for, and no others.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from omnidet.data.folder_formats import json_kinds, lookup
from omnidet.data.folder_formats.coco_names import (
    Counts,
    Id,
    Names,
    categories,
    fault_of_images,
    id_of,
    list_of,
    once_each,
)
from omnidet.data.folder_formats.folder import Folder, parts_of, split_of_file, split_of_folders
from omnidet.data.folder_formats.sheets import (
    NO_AREA,
    NO_NAME,
    NOT_SEARCHED,
    UNKNOWN_CLASS,
    Corners,
    Found,
    Shape,
    Sheet,
    no_box,
    number,
    outline_box,
    scored,
    size_of,
    turned,
)
from omnidet.data.folder_formats.written_splits import splits_of
from omnidet.data.reading import json_stream
from omnidet.data.reading.coco_json import file_of

NO_IMAGE = "annotation of a picture that is not listed"
NO_FILE_NAME = "picture without a file name"
_IMAGE = ("id", "file_name", "coco_url", "width", "height", "neg_category_ids", "split")
_LISTS = {
    "images": (*_IMAGE, "not_exhaustive_category_ids"),
    "annotations": (
        "image_id",
        "category_id",
        "bbox",
        "iscrowd",
        "ignore",
        "area",
        "score",
        "attributes",
        "segments_info",
    ),
    "categories": ("id", "name", "supercategory"),
}
_WITH_MASKS = {**_LISTS, "annotations": (*_LISTS["annotations"], "segmentation")}
_MAX_BYTES_WITH_MASKS = 64 << 20
"""Of a larger file masks are read only where a box is missing: they take most of the memory."""
_COMPRESSED = re.compile(r"[0-o]*[0-O]")
"""A run-length text as pycocotools writes it: its C code reads beyond the end of any other."""


def read(folder: Folder) -> Found | None:
    """All the files of the folder.

    Raises ValueError for one that looks like COCO json and cannot be read.
    """
    sheets: list[Sheet] = []
    names: dict[str, None] = {}
    notes: list[str] = []
    counts = Counts()
    faults: list[str] = []
    for path in json_kinds.paths_of(folder, "coco"):
        where = folder.root / path
        is_small = where.stat().st_size <= _MAX_BYTES_WITH_MASKS
        content = _load(folder, path, _WITH_MASKS if is_small else _LISTS)
        reason = _not_boxes(content)
        if reason:
            notes.append(f"not read: {path} ({reason})")
            continue
        if not is_small and any(
            _plain_box(entry) is None for entry in list_of(content, "annotations", where)
        ):
            content = _load(folder, path, _WITH_MASKS)
        own = categories(content, where)
        names.update(dict.fromkeys(own.by_id.values()))
        annotations = list_of(content, "annotations", where)
        counts.add(path, own, annotations)
        notes += scored(map(_score, annotations), path)
        splits, note = _splits(content, where)
        notes += [f"{path}: {note}"] if note else []
        sheets += _sheets(folder, path, content, own, splits)
        faults.append(_fault_of_images(content, path, where))
    if not sheets and not names:
        return None
    fault = next(filter(None, [counts.fault(), *faults]), "")
    return Found("COCO json", "xywh", sheets, tuple(names), notes, fault)


def _load(folder: Folder, path: Path, keep: Mapping[str, Sequence[str]]) -> dict[str, Any]:
    try:
        content = json_stream.load(folder.root / path, keep)
    except (ValueError, RecursionError) as error:
        raise ValueError(
            f"{folder.root / path} looks like COCO json and is not JSON ({error}): "
            "mend it, or move it out of the folder"
        ) from error
    return content if isinstance(content, dict) else {}


def _not_boxes(content: Mapping[str, Any]) -> str:
    """Why a json file in this style gives no boxes; "" if it does."""
    if "categories" not in content:
        return "no list of categories: captions, or another format"
    annotations = content.get("annotations")
    if isinstance(annotations, list) and any(
        isinstance(entry, dict) and "segments_info" in entry for entry in annotations
    ):
        return "masks of whole pictures, COCO panoptic"
    return ""


def _fault_of_images(content: Mapping[str, Any], path: Path, where: Path) -> str:
    entries = [e for e in list_of(content, "annotations", where) if isinstance(e, dict)]
    annotated = [own for e in entries if (own := id_of(e.get("image_id"))) is not None]
    return fault_of_images(once_each(content, "images", "file_name", where), annotated, path)


def _splits(content: Mapping[str, Any], where: Path) -> tuple[dict[str, str], str]:
    """What the words mean that some files say of each picture, and a note; as `splits_of` gives."""
    images = [image for image in list_of(content, "images", where) if isinstance(image, dict)]
    said = [(i["split"], f"{where}, {file_of(i)}") for i in images if _said_split(i)]
    return splits_of(said, "the field 'split' of `images`", is_split=False)


def _said_split(image: Mapping[str, Any]) -> str:
    found = image.get("split")
    return found if isinstance(found, str) else ""


def _sheets(
    folder: Folder,
    path: Path,
    content: Mapping[str, Any],
    names: Names,
    splits: Mapping[str, str],
) -> list[Sheet]:
    """A sheet for each entry of `images`, and one for what is annotated and not listed there.

    Args:
        splits: by what an entry says of its split.
    """
    images = once_each(content, "images", "file_name", folder.root / path)
    of_file = split_of_file(path)
    # The test of a benchmark lists pictures alone; a file of one picture says that it is empty.
    is_searched = bool(content.get("annotations")) or ("annotations" in content and len(images) < 2)
    shapes: dict[Id | None, list[Shape]] = defaultdict(list)
    for place, entry in enumerate(list_of(content, "annotations", folder.root / path)):
        entry = entry if isinstance(entry, dict) else {}
        own = id_of(entry.get("image_id"))
        size = _size(images[own]) if own in images else None
        shapes[own].append(_shape(entry, place, names, size))
    declared = {own: file_of(image) for own, image in images.items()}
    is_sole_folder = len({tuple(parts_of(name)[:-1]) for name in declared.values()}) == 1
    sheets = []
    for own, image in images.items():
        drawn, name = tuple(shapes.pop(own, ())), declared[own]
        where, split = f"image {own}", splits.get(_said_split(image), "") or of_file
        if not name:
            sheets.append(Sheet(path, None, drawn, NO_FILE_NAME, where=where))
            continue
        hit = lookup.find(folder, name, path, split, is_sole_folder)
        problem = hit.problem or ("" if is_searched else NOT_SEARCHED)
        sheets.append(
            Sheet(
                path,
                hit.picture,
                drawn,
                problem,
                _size(image),
                covers=_covers(image, drawn, names),
                split=split or (split_of_folders(hit.picture) if hit.picture else ""),
                origin=hit.origin,
                where=f"{where} ({hit.detail})" if hit.detail else where,
                declared="" if hit.picture else name,
            )
        )
    for unlisted, drawn_there in shapes.items():
        where = f"image {unlisted}"
        sheets.append(Sheet(path, None, tuple(drawn_there), NO_IMAGE, where=where))
    return sheets


def _size(image: Mapping[str, Any]) -> tuple[int, int] | None:
    return size_of(image.get("width"), image.get("height"))


def _covers(image: Mapping[str, Any], drawn: Sequence[Shape], names: Names) -> frozenset[str]:
    """Names that were looked for in the picture."""
    partly = names.of(image.get("not_exhaustive_category_ids"))
    if "neg_category_ids" in image:
        shown = {shape.name for shape in drawn if shape.name is not None}
        return (names.of(image["neg_category_ids"]) | shown) - partly
    return frozenset(names.by_id.values()) - partly


def _shape(
    entry: Mapping[str, Any], place: int, names: Names, size: tuple[int, int] | None
) -> Shape:
    own = id_of(entry.get("category_id"))
    name = names.by_id.get(own) if own is not None else None
    box = _turned_box(entry)
    outline = _mask_box(entry.get("segmentation"), size)
    corners = box or outline
    problem = "" if name is not None else UNKNOWN_CLASS if own is not None else NO_NAME
    if corners is None and not problem:
        written = entry.get("bbox")
        values = written if isinstance(written, list) else ()
        problem = NO_AREA if _four_numbers(written) else no_box(values)
    return Shape(
        name,
        corners,
        problem,
        is_crowd=any(_is_set(entry.get(field)) for field in ("iscrowd", "ignore")),
        is_outline=box is None or box != _plain_box(entry),
        area=number(entry.get("area")),
        outline=outline,
        where=f"annotations[{place}]" + (f" of category {own!r}" if own not in names.by_id else ""),
    )


def _score(entry: Any) -> float | None:
    return number(entry.get("score")) if isinstance(entry, dict) else None


def _is_set(flag: object) -> bool:
    return flag is True or bool(number(flag))


def _plain_box(entry: Any) -> Corners | None:
    """The corners of `bbox`; None where it has no area: a mask may say more."""
    box = _four_numbers(entry.get("bbox")) if isinstance(entry, dict) else None
    if box is None:
        return None
    x, y, width, height = box
    return (x, y, x + width, y + height) if width > 0 and height > 0 else None


def _turned_box(entry: Mapping[str, Any]) -> Corners | None:
    """The box around one that was turned: CVAT writes how far among the attributes."""
    box, attributes = _plain_box(entry), entry.get("attributes")
    degrees = number(attributes.get("rotation")) if isinstance(attributes, dict) else None
    return turned(box, degrees) if box and degrees else box


def _four_numbers(box: object) -> tuple[float, float, float, float] | None:
    if not isinstance(box, list) or len(box) != 4:
        return None
    x, y, width, height = (number(value) for value in box)
    if x is None or y is None or width is None or height is None:
        return None
    return x, y, width, height


def _mask_box(mask: Any, size: tuple[int, int] | None) -> Corners | None:
    """The box around a segmentation: polygons, or runs of pixels."""
    if isinstance(mask, dict):
        return _runs_box(mask, size)
    if not isinstance(mask, list):
        return None
    points: list[tuple[float, float]] = []
    for polygon in mask if mask and isinstance(mask[0], list) else [mask]:
        flat = polygon if isinstance(polygon, list) else []
        if flat and all(isinstance(point, list) and len(point) == 2 for point in flat):
            flat = [value for point in flat for value in point]
        values = [number(value) for value in flat]
        if len(values) < 6 or len(values) % 2:
            return None
        for x, y in zip(values[::2], values[1::2], strict=True):
            if x is None or y is None:
                return None
            points.append((x, y))
    return outline_box(points)


def _runs_box(mask: Mapping[str, Any], size: tuple[int, int] | None) -> Corners | None:
    from pycocotools import mask as runs

    counts, shape = mask.get("counts"), mask.get("size")
    if not isinstance(shape, list) or len(shape) != 2:
        return None
    height, width = shape
    if not all(isinstance(side, int) and 0 < side < 1 << 16 for side in (height, width)):
        return None
    if size is not None and size not in ((width, height), (height, width)):
        return None
    if isinstance(counts, str) and _COMPRESSED.fullmatch(counts):
        encoded: Any = {"size": [height, width], "counts": counts.encode()}
    elif (
        isinstance(counts, list)
        and all(isinstance(run, int) and run >= 0 for run in counts)
        and sum(counts) == height * width
    ):
        encoded = runs.frPyObjects({"size": [height, width], "counts": counts}, height, width)
    else:
        return None
    x, y, box_width, box_height = (float(value) for value in runs.toBbox(encoded))
    inside = x >= 0 and y >= 0 and x + box_width <= width and y + box_height <= height
    return (x, y, x + box_width, y + box_height) if inside and box_width and box_height else None
