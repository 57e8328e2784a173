"""COCO json: any file with `images`, `annotations` and `categories`; https://cocodataset.org/#format-data."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from omnidet.data.annotated.pictures import (
    Annotated,
    Box,
    Picture,
    images_by_stem,
    nearest,
    split_of,
)
from omnidet.data.reading import annotations as files
from omnidet.data.reading.dataset_folder import DataFolder

_LISTS = {
    "images": ("id", "file_name"),
    "annotations": ("image_id", "category_id", "bbox", "iscrowd"),
    "categories": ("id", "name"),
}
_MARKS = (b'"images"', b'"annotations"', b'"categories"')


def find(root: Path) -> Annotated | None:
    """All the files in the folder, each a split. Raises ValueError for one that looks like COCO json and cannot be read."""
    paths = [
        path for path in sorted(root.rglob("*.json")) if path.is_file() and _looks_like_coco(path)
    ]
    if not paths:
        return None
    pictures = images_by_stem(root)
    splits: dict[str, list[Picture]] = defaultdict(list)
    names: dict[str, None] = {}
    problems: Counter[str] = Counter()
    for path in paths:
        content = files.load_json(
            DataFolder(str(root)),
            str(path.relative_to(root)),
            "give the folder that holds it",
            _LISTS,
        )
        categories = {
            c["id"]: files.plain(str(c["name"]))
            for c in _once_each(content, "categories", "name", path)
        }
        names.update(dict.fromkeys(categories.values()))
        images = {image["id"]: image for image in _once_each(content, "images", "file_name", path)}
        boxes: dict[Any, list[Box]] = defaultdict(list)
        for entry in _entries(content, "annotations", {}, path):
            box = files.four_numbers(entry.get("bbox"))
            if not _is_among(images, entry.get("image_id")):
                problems["box of an unknown image"] += 1
            elif not _is_among(categories, entry.get("category_id")):
                problems["box of an unknown category"] += 1
            elif box is None:
                problems["box that is not four numbers"] += 1
            else:
                x, y, width, height = box
                named = Box(
                    categories[entry["category_id"]],
                    (x, y, width, height),
                    bool(entry.get("iscrowd")),
                )
                boxes[entry["image_id"]].append(named)
        for image_id, image in images.items():
            file = nearest(
                pictures.get(Path(image["file_name"]).stem, []), path.parent / image["file_name"]
            )
            if file is None:
                problems["picture that is not there"] += 1
                continue
            splits[split_of(path, root)].append(Picture(file, tuple(boxes.get(image_id, []))))
    return Annotated("COCO json", tuple(names), dict(splits), problems)


def _looks_like_coco(path: Path) -> bool:
    if path.stat().st_size > 1 << 22:  # a large one is read once only
        with path.open("rb") as file:
            head = file.read(1 << 20)
        return any(mark in head for mark in _MARKS)
    content = path.read_bytes()
    if not all(mark in content for mark in _MARKS):
        return False
    try:
        return isinstance(json.loads(content), dict)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path} is not JSON ({error}): fetch or write it anew") from error


def _entries(content: Any, key: str, fields: dict[str, type], path: Path) -> list[files.Entry]:
    found = files.entries(content, key, fields, str(path))
    for entry in found:
        if not isinstance(entry, dict) or (
            key != "annotations" and not isinstance(entry.get("id"), int | str)
        ):
            raise ValueError(
                f"{path}: an entry of {key!r} is no object or has no id: mend the file"
            )
    return found


def _once_each(content: Any, key: str, field: str, path: Path) -> list[files.Entry]:
    """The entries. Raises ValueError where one id stands for two."""
    found: dict[Any, files.Entry] = {}
    for entry in _entries(content, key, {field: str}, path):
        other = found.setdefault(entry["id"], entry)
        if other[field] != entry[field]:
            raise ValueError(
                f"{path}: id {entry['id']!r} of {key!r} stands for {other[field]!r} and {entry[field]!r}: give each its own"
            )
    return list(found.values())


def _is_among(known: Mapping[Any, Any], number: Any) -> bool:
    """An id may be a number or a text; what else stands in its place may be a list, of which nobody can be asked."""
    return isinstance(number, int | str) and number in known
