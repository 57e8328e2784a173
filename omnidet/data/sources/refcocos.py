"""RefCOCOS: `annotations/refcocos.json`, a list of expressions, each with one box or without a box.

The images are COCO's val2017. Boxes are xyxy in pixels. An expression marked `empty_case` names
nothing in its image.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator

from omnidet import storage
from omnidet.data.reading import annotations as files
from omnidet.data.reading.annotations import PIECE_UNITS, Entry, Piece, Regions
from omnidet.data.reading.dataset_folder import DataFolder
from omnidet.data.reading.quarantine import Quarantine
from omnidet.schema import Record

SOURCE = "refcocos"
COLLECTION = "coco"
IS_CURATED = True
LEAKING_SPLITS: dict[str, str] = {}
NAME = "annotations/refcocos.json"
REMEDY = "put RefCOCOS's list of expressions there"
EXPRESSION = {
    "image_id": int,
    "image": str,
    "width": int,
    "height": int,
    "normal_caption": str,
    "categories": dict,
}


def read(root: str, split: str, quarantine: Quarantine) -> Iterator[Record]:
    """One Record per image with all its expressions, by ascending image id."""
    return files.chained(pieces(root, split, quarantine), quarantine)


def pieces(
    root: str, split: str, quarantine: Quarantine, size: int = PIECE_UNITS
) -> Iterator[Piece]:
    """The same, `size` images per piece."""
    for batch in files.batched(sorted(files.by_image(_load(root, split)).items()), size):
        yield functools.partial(_read_piece, DataFolder(root), [found for _, found in batch])


def _read_piece(
    folder: DataFolder, images: list[list[Entry]], quarantine: Quarantine
) -> Iterator[Record]:
    contents = folder.read_images([[found[0]["image"]] for found in images])
    for found, content in zip(images, contents, strict=True):
        image, image_id = found[0], found[0]["image_id"]
        if content is None:
            quarantine.reject(SOURCE, f"image {image_id} {image['image']}", "missing image file")
            continue
        regions, absent = _regions(found, quarantine)
        yield Record(
            image=content,
            width=image["width"],
            height=image["height"],
            source=SOURCE,
            image_id=f"{COLLECTION}:{image_id}",
            boxes_xyxy=regions.boxes_xyxy,
            phrases=regions.phrases,
            phrase_boxes=regions.phrase_boxes,
            absent=tuple(p for p in absent if p not in regions.phrases),
        )


def check(root: str, split: str) -> None:
    """Raise FileNotFoundError if the list is missing."""
    if split != "test":
        raise ValueError(f"refcocos has no split {split!r}: use 'test', the only one")
    files.require(DataFolder(root), NAME, REMEDY)


def image_ids(root: str, split: str) -> set[str]:
    """COCO ids of all images with an expression."""
    return {f"{COLLECTION}:{entry['image_id']}" for entry in _load(root, split)}


def ground_truth(root: str, split: str) -> None:
    """None: no official tool reads the file."""
    return


def _load(root: str, split: str) -> list[Entry]:
    check(root, split)
    data = files.load_json(DataFolder(root), NAME, REMEDY, {})
    path = storage.join(root, NAME)
    if not isinstance(data, list):
        raise ValueError(f"{path} is not a list of expressions: it is not in the dataset's format")
    return files.checked(data, "expression", EXPRESSION, path)


def _regions(found: list[Entry], quarantine: Quarantine) -> tuple[Regions, list[str]]:
    """The boxes with their expressions, and the expressions that name nothing."""
    regions, absent = Regions(), []
    for entry in found:
        phrase, item = (
            files.plain(entry["normal_caption"]),
            f"image {entry['image_id']} {entry['normal_caption']!r}",
        )
        box, empty = (
            files.four_numbers(entry.get("solution")),
            bool(entry["categories"].get("empty_case")),
        )
        if not phrase:
            quarantine.reject(SOURCE, item, "empty phrase", "phrase")
        elif empty and entry.get("solution") is None:
            absent.append(phrase)
        elif empty:
            quarantine.reject(SOURCE, item, "a box for an expression that names nothing", "phrase")
        elif box is None:
            quarantine.reject(SOURCE, item, "malformed box", "box")
        else:
            regions.add(phrase, tuple(box), box)
    return regions, absent
