"""Somebody's own annotated pictures, as `data/annotated/write.py` lays them out: COCO json for each
split next to `images/`.

A name that an image does not show is verified absent there, unless it is among the image's
`not_exhaustive_category_ids`: then something of that name may be there without a box.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Iterator
from typing import Any

from omnidet import storage
from omnidet.data.reading import annotations as files
from omnidet.data.reading import coco_json
from omnidet.data.reading.annotations import PIECE_UNITS, Entry, GroundTruth, Piece
from omnidet.data.reading.coco_json import ANNOTATION, CATEGORY, KEPT_OF_BOXES
from omnidet.data.reading.dataset_folder import DataFolder
from omnidet.data.reading.quarantine import Quarantine
from omnidet.schema import Record

SOURCE = "annotated"
COLLECTION = "annotated"
IS_CURATED = False
LEAKING_SPLITS: dict[str, str] = {}
REMEDY = "read the annotated folder with `omnidet finetune` first"
UNKNOWN = "not_exhaustive_category_ids"
IMAGE = {"id": int, "file_name": str, "width": int, "height": int}


def read(root: str, split: str, quarantine: Quarantine) -> Iterator[Record]:
    """One Record an image, by ascending id; images without boxes are kept as negatives."""
    return files.chained(pieces(root, split, quarantine), quarantine)


def pieces(
    root: str, split: str, quarantine: Quarantine, size: int = PIECE_UNITS
) -> Iterator[Piece]:
    """The same, `size` images a piece."""
    path = storage.join(root, _name(split))
    keep = {"categories": CATEGORY, "images": (*IMAGE, UNKNOWN), "annotations": KEPT_OF_BOXES}
    content = coco_json.lists(root, _name(split), REMEDY, keep)
    names = coco_json.categories(content, path)
    images = coco_json.images(content, IMAGE, path, SOURCE, quarantine)
    found = files.entries(content, "annotations", ANNOTATION, path)
    boxes = files.by_image(coco_json.known(found, images, SOURCE, quarantine))
    for batch in files.batched(sorted(images.items()), size):
        told = [(image, boxes.pop(image_id, [])) for image_id, image in batch]
        yield functools.partial(_read_piece, DataFolder(root), names, told)


def _read_piece(
    folder: DataFolder,
    names: dict[int, str],
    images: list[tuple[Entry, list[Entry]]],
    quarantine: Quarantine,
) -> Iterator[Record]:
    contents = folder.read_images([[image["file_name"]] for image, _ in images])
    for (image, boxes), content in zip(images, contents, strict=True):
        if content is None:
            quarantine.reject(
                SOURCE, f"image {image['id']} {image['file_name']}", "missing image file"
            )
            continue
        regions, crowded = coco_json.regions(boxes, names, SOURCE, quarantine)
        unknown = {*crowded, *_names(image, names)}
        present = {*regions.phrases, *unknown}
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
            not_exhaustive=tuple(name for name in regions.phrases if name in unknown),
        )


def _names(image: Entry, names: dict[int, str]) -> set[str]:
    """Names that the image may show without a box."""
    found = image.get(UNKNOWN, [])
    return {names[i] for i in found if i in names} if isinstance(found, list) else set()


def check(root: str, split: str) -> None:
    """Raise FileNotFoundError where the split's file is missing."""
    files.require(DataFolder(root), _name(split), REMEDY)


def image_ids(root: str, split: str) -> set[str]:
    """Ids of all images: hashes of their bytes."""
    return {
        f"{SOURCE}:{image_id}"
        for image_id in coco_json.image_ids(root, _name(split), REMEDY, IMAGE)
    }


def ground_truth(root: str, split: str) -> GroundTruth | None:
    """The file of the split; where names are unknown in some images, the one that says so to the
    official evaluation.
    """
    told = f"ground_truth/{split}.json"
    name = told if DataFolder(root).has(told) else _name(split)
    return coco_json.ground_truth(root, name, REMEDY)


def account(root: str) -> dict[str, Any] | None:
    """What was read of the folder that somebody annotated, kept and left out, as
    `data/annotated/account.py` describes it; None where the summary is not there.
    """
    content = DataFolder(root).read("summary.json")
    found = json.loads(content).get("account") if content else None
    return found if isinstance(found, dict) else None


def _name(split: str) -> str:
    return f"annotations/{split}.json"
