"""COCO: `annotations/instances_{split}.json` and, where it is there, `annotations/captions_{split}.json`.

https://cocodataset.org/#format-data. Any dataset in the same format can be read. Boxes are xywh in pixels.
"""

from __future__ import annotations

import functools
from collections.abc import Collection, Iterator, Mapping
from typing import Any, NamedTuple

from omnidet import storage
from omnidet.data import annotations as files
from omnidet.data.annotations import PIECE_UNITS, Entry, GroundTruth, Piece, Regions
from omnidet.data.folder import DataFolder
from omnidet.data.quarantine import Quarantine
from omnidet.schema import Record

SOURCE = "coco"
IMAGE = {"id": int, "file_name": str, "width": int, "height": int}
ANNOTATION = {"id": int, "image_id": int}
CATEGORY = {"id": int, "name": str}
KEPT_OF_BOXES = (*ANNOTATION, "category_id", "bbox", "iscrowd")
KEPT_OF_CAPTIONS = (*ANNOTATION, "caption")
REMEDY = "unpack COCO's annotations into the root, or name another split"


class _Image(NamedTuple):
    """What both files say of an image."""

    entry: Entry
    is_searched: bool
    """Whether it stands in the instances file: one that only the captions cover was perhaps never searched for the names."""
    boxes: list[Entry]
    captions: list[Entry]


def read(root: str, split: str, quarantine: Quarantine) -> Iterator[Record]:
    """One Record an image of the union of both files, by ascending id; images without boxes are kept as negatives."""
    return files.chained(pieces(root, split, quarantine), quarantine)


def pieces(root: str, split: str, quarantine: Quarantine, size: int = PIECE_UNITS) -> Iterator[Piece]:
    """The same, `size` images a piece."""
    folder = DataFolder(root)
    check(root, split)
    instances, captions = _name("instances", split), _name("captions", split)
    boxed = _lists(folder, instances, {"categories": CATEGORY, "images": IMAGE, "annotations": KEPT_OF_BOXES})
    categories = _categories(boxed, storage.join(root, instances))
    images = _images(boxed, storage.join(root, instances), quarantine)
    captioned, texts, content = {}, {}, None
    if folder.has(captions):
        content = _lists(folder, captions, {"images": IMAGE, "annotations": KEPT_OF_CAPTIONS})
        captioned = _images(content, storage.join(root, captions), quarantine)
    found = files.entries(boxed, "annotations", ANNOTATION, storage.join(root, instances))
    boxes = files.by_image(_known(found, images, "annotation", "box", quarantine))
    if content is not None:
        found = files.entries(content, "annotations", ANNOTATION, storage.join(root, captions))
        texts = files.by_image(_known(found, captioned, "caption", "caption", quarantine))
    for batch in files.batched(sorted({**captioned, **images}.items()), size):
        told = [_Image(entry, i in images, boxes.pop(i, []), texts.pop(i, [])) for i, entry in batch]
        yield functools.partial(_read_piece, folder, split, categories, told)


def _read_piece(
    folder: DataFolder, split: str, categories: dict[int, str], images: list[_Image], quarantine: Quarantine
) -> Iterator[Record]:
    contents = folder.read_images([[f"{split}/{image.entry['file_name']}"] for image in images])
    for image, content in zip(images, contents, strict=True):
        image_id = image.entry["id"]
        if content is None:
            quarantine.reject(SOURCE, f"image {image_id} {image.entry['file_name']}", "missing image file")
            continue
        regions, crowded = _regions(image.boxes, categories, quarantine)
        present = {*regions.phrases, *crowded}
        yield Record(
            image=content,
            width=image.entry["width"],
            height=image.entry["height"],
            source=SOURCE,
            image_id=f"coco:{image_id}",
            boxes_xyxy=regions.boxes_xyxy,
            phrases=regions.phrases,
            phrase_boxes=regions.phrase_boxes,
            absent=tuple(n for n in categories.values() if n not in present) if image.is_searched else (),
            not_exhaustive=tuple(n for n in regions.phrases if n in crowded),
            caption=_caption(image.captions, quarantine),
        )


def check(root: str, split: str) -> None:
    """Raise FileNotFoundError where the annotations are missing; the captions may be."""
    files.require(DataFolder(root), _name("instances", split), REMEDY)


def image_ids(root: str, split: str) -> set[str]:
    """Ids of the union of both files."""
    folder, found = DataFolder(root), set()
    check(root, split)
    for name in (_name("instances", split), _name("captions", split)):
        if folder.has(name):
            images = files.entries(_lists(folder, name, {"images": IMAGE}), "images", IMAGE, storage.join(root, name))
            found |= {f"coco:{image['id']}" for image in images}
    return found


def ground_truth(root: str, split: str) -> GroundTruth | None:
    """The instances file, which pycocotools reads."""
    folder, name = DataFolder(root), _name("instances", split)
    names = _categories(_lists(folder, name, {"categories": CATEGORY}), storage.join(root, name))
    return GroundTruth(str(folder.path(name)), names)


def _name(task: str, split: str) -> str:
    return f"annotations/{task}_{split}.json"


def _lists(folder: DataFolder, name: str, keep: Mapping[str, Collection[str]]) -> Any:
    return files.load_json(folder, name, REMEDY, {key: tuple(fields) for key, fields in keep.items()})


def _categories(content: Any, path: str) -> dict[int, str]:
    found = files.entries(content, "categories", CATEGORY, path)
    names = {category["id"]: files.plain(category["name"]) for category in found}
    if len(set(names.values())) != len(found):
        raise ValueError(f"{path}: two categories share an id or a name: rename one of them")
    return names


def _images(content: Any, path: str, quarantine: Quarantine) -> dict[int, Entry]:
    found = files.entries(content, "images", IMAGE, path)
    return {image["id"]: image for image in files.first_of_each(found, SOURCE, "image", "record", quarantine)}


def _known(found: list[Entry], images: dict[int, Entry], what: str, kind: str, quarantine: Quarantine) -> Iterator[Entry]:
    for entry in files.first_of_each(found, SOURCE, what, kind, quarantine):
        if entry["image_id"] in images:
            yield entry
        else:
            quarantine.reject(SOURCE, f"{what} {entry['id']} of image {entry['image_id']}", "unknown image id", kind)


def _regions(found: list[Entry], categories: dict[int, str], quarantine: Quarantine) -> tuple[Regions, set[str]]:
    """The targets of an image, and the names that stand for more than their boxes.

    A crowd box frames a group: it is no target, and its name is neither exhaustive nor absent. The same holds for the
    name of a box that cannot be read.
    """
    regions, crowded = Regions(), set()
    for entry in found:
        category_id = entry.get("category_id")
        name = categories.get(category_id) if isinstance(category_id, int) else None
        if name is None:
            quarantine.reject(SOURCE, f"annotation {entry['id']}", "unknown category id", "box")
            continue
        box = files.xywh_to_xyxy(entry.get("bbox"))
        if box is None:
            quarantine.reject(SOURCE, f"annotation {entry['id']}", "malformed box", "box")
        if box is None or entry.get("iscrowd"):
            crowded.add(name)
        else:
            regions.add(name, entry["id"], box)
    return regions, crowded


def _caption(found: list[Entry], quarantine: Quarantine) -> str:
    texts = []
    for entry in found:
        text = entry.get("caption")
        text = files.plain(text) if isinstance(text, str) else ""
        if text:
            texts.append(text)
        else:
            quarantine.reject(SOURCE, f"caption {entry['id']} of image {entry['image_id']}", "empty caption", "caption")
    return files.join_captions(texts)
