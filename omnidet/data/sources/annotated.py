"""Somebody's own annotated pictures, as `data/annotated/write.py` lays them out: COCO json for each split beside `images/`.

Every class is annotated wherever it stands, so each one that an image does not show is verified absent there.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from typing import Any

from omnidet import storage
from omnidet.data import annotations as files
from omnidet.data.annotations import PIECE_UNITS, Entry, GroundTruth, Piece, Regions
from omnidet.data.folder import DataFolder
from omnidet.data.quarantine import Quarantine
from omnidet.schema import Record

SOURCE = "annotated"
REMEDY = "read the annotated folder with `omnidet finetune` first"
IMAGE = {"id": int, "file_name": str, "width": int, "height": int}
BOX = {"id": int, "image_id": int, "category_id": int}
CATEGORY = {"id": int, "name": str}


def read(root: str, split: str, quarantine: Quarantine) -> Iterator[Record]:
    """One Record an image, by ascending id; images without boxes are kept as negatives."""
    return files.chained(pieces(root, split, quarantine), quarantine)


def pieces(root: str, split: str, quarantine: Quarantine, size: int = PIECE_UNITS) -> Iterator[Piece]:  # noqa: ARG001
    """The same, `size` images a piece."""
    lists = {"categories": CATEGORY, "images": IMAGE, "annotations": (*BOX, "bbox", "iscrowd")}
    content, path = _load(root, split, lists), storage.join(root, _name(split))
    names = _names(content, path)
    boxes = files.by_image(files.entries(content, "annotations", BOX, path))
    images = sorted(files.entries(content, "images", IMAGE, path), key=lambda entry: int(entry["id"]))
    for batch in files.batched(images, size):
        told = [(image, boxes.pop(image["id"], [])) for image in batch]
        yield functools.partial(_read_piece, DataFolder(root), names, told)


def _read_piece(
    folder: DataFolder, names: dict[int, str], images: list[tuple[Entry, list[Entry]]], quarantine: Quarantine
) -> Iterator[Record]:
    contents = folder.read_images([[image["file_name"]] for image, _ in images])
    for (image, boxes), content in zip(images, contents, strict=True):
        if content is None:
            quarantine.reject(SOURCE, f"image {image['id']} {image['file_name']}", "missing image file")
            continue
        regions, crowded = Regions(), set()
        for entry in boxes:
            box, name = files.xywh_to_xyxy(entry.get("bbox")), names[entry["category_id"]]
            if box is None or entry.get("iscrowd"):
                crowded.add(name)
            else:
                regions.add(name, entry["id"], box)
        present = {*regions.phrases, *crowded}
        yield Record(
            image=content,
            width=image["width"],
            height=image["height"],
            source=SOURCE,
            image_id=f"{SOURCE}:{image['id']}",
            boxes_xyxy=regions.boxes_xyxy,
            phrases=regions.phrases,
            phrase_boxes=regions.phrase_boxes,
            absent=tuple(name for name in names.values() if name not in present),
            not_exhaustive=tuple(name for name in regions.phrases if name in crowded),
        )


def check(root: str, split: str) -> None:
    """Raise FileNotFoundError where the split's file is missing."""
    files.require(DataFolder(root), _name(split), REMEDY)


def image_ids(root: str, split: str) -> set[str]:
    """Ids of all images: hashes of their bytes."""
    content = _load(root, split, {"images": IMAGE})
    return {f"{SOURCE}:{image['id']}" for image in files.entries(content, "images", IMAGE, storage.join(root, _name(split)))}


def ground_truth(root: str, split: str) -> GroundTruth | None:
    """The file of the split, which pycocotools reads."""
    names = _names(_load(root, split, {"categories": CATEGORY}), storage.join(root, _name(split)))
    return GroundTruth(str(DataFolder(root).path(_name(split))), names)


def _name(split: str) -> str:
    return f"annotations/{split}.json"


def _load(root: str, split: str, lists: dict[str, Any]) -> Any:
    return files.load_json(DataFolder(root), _name(split), REMEDY, {key: tuple(fields) for key, fields in lists.items()})


def _names(content: Any, path: str) -> dict[int, str]:
    return {entry["id"]: entry["name"] for entry in files.entries(content, "categories", CATEGORY, path)}
