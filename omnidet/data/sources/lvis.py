"""LVIS v1 and v0.5: `annotations/lvis_{split}.json`, with splits such as `v1_train` and `v0.5_val`.

https://www.lvisdataset.org/dataset. The images are COCO's; a split may have some of train2017 and
some of val2017. Boxes are xywh. The label space of an image is the names that were annotated or
verified absent in it; everything else is unknown.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator

from omnidet import storage
from omnidet.data.reading import annotations as files
from omnidet.data.reading import coco_json
from omnidet.data.reading.annotations import PIECE_UNITS, Entry, GroundTruth, Piece
from omnidet.data.reading.coco_json import CATEGORY
from omnidet.data.reading.dataset_folder import DataFolder
from omnidet.data.reading.quarantine import Quarantine
from omnidet.schema import Record

SOURCE = "lvis"
COLLECTION = "coco"
IS_CURATED = True
LEAKING_SPLITS: dict[str, str] = {}
IMAGE = {
    "id": int,
    "width": int,
    "height": int,
    "neg_category_ids": list,
    "not_exhaustive_category_ids": list,
}
ANNOTATION = {**coco_json.ANNOTATION, "category_id": int}
REMEDY = (
    "unpack LVIS's annotations into `annotations/` of the COCO root, or name another split, "
    "such as v1_train"
)


def read(root: str, split: str, quarantine: Quarantine) -> Iterator[Record]:
    """One Record per image, by ascending id."""
    return files.chained(pieces(root, split, quarantine), quarantine)


def pieces(
    root: str, split: str, quarantine: Quarantine, size: int = PIECE_UNITS
) -> Iterator[Piece]:
    """The same, `size` images per piece."""
    path = storage.join(root, _name(split))
    keep = {
        "categories": CATEGORY,
        "images": (*IMAGE, "coco_url"),
        "annotations": (*ANNOTATION, "bbox"),
    }
    data = coco_json.lists(root, _name(split), REMEDY, keep)
    categories = coco_json.categories(data, path, category_phrase)
    images = coco_json.images(data, IMAGE, path, SOURCE, quarantine)
    found = files.entries(data, "annotations", ANNOTATION, path)
    boxes = files.by_image(coco_json.known(found, images, SOURCE, quarantine))
    del found, data
    for batch in files.batched(sorted(images.items()), size):
        listed = [(image, boxes.pop(image_id, [])) for image_id, image in batch]
        yield functools.partial(_read_piece, DataFolder(root), categories, listed)


def _read_piece(
    folder: DataFolder,
    categories: dict[int, str],
    images: list[tuple[Entry, list[Entry]]],
    quarantine: Quarantine,
) -> Iterator[Record]:
    contents = folder.read_images([_image_names(image) for image, _ in images])
    for (image, boxes), content in zip(images, contents, strict=True):
        if content is None:
            quarantine.reject(SOURCE, f"image {image['id']}", "missing image file")
            continue
        regions, unread = coco_json.regions(boxes, categories, SOURCE, quarantine)
        partly = {*_names(image, "not_exhaustive_category_ids", categories, quarantine), *unread}
        present = {*regions.phrases, *partly}
        yield Record(
            image=content,
            width=image["width"],
            height=image["height"],
            source=SOURCE,
            image_id=f"{COLLECTION}:{image['id']}",
            boxes_xyxy=regions.boxes_xyxy,
            phrases=regions.phrases,
            phrase_boxes=regions.phrase_boxes,
            absent=tuple(
                n
                for n in _names(image, "neg_category_ids", categories, quarantine)
                if n not in present
            ),
            not_exhaustive=tuple(n for n in regions.phrases if n in partly),
        )


def check(root: str, split: str) -> None:
    """Raise FileNotFoundError if the annotations are missing."""
    files.require(DataFolder(root), _name(split), REMEDY)


def image_ids(root: str, split: str) -> set[str]:
    """COCO ids of all images in the file."""
    return {
        f"{COLLECTION}:{image_id}"
        for image_id in coco_json.image_ids(root, _name(split), REMEDY, IMAGE)
    }


def ground_truth(root: str, split: str) -> GroundTruth | None:
    """The annotation file, which the official `lvis` package reads."""
    return coco_json.ground_truth(root, _name(split), REMEDY, category_phrase)


def category_phrase(name: str) -> str:
    """The words of a category: `bow_(weapon)` becomes `bow weapon`.

    Words in parentheses are kept: without them some of the 1,203 names would be the same, such as
    `bow_(weapon)` and `bow_(decorative_ribbons)`.
    """
    return files.plain(name.replace("_", " ").replace("(", " ").replace(")", " "))


def _name(split: str) -> str:
    return f"annotations/lvis_{split}.json"


def _image_names(image: Entry) -> list[str]:
    """Where the image may be: v1 names the folder in a URL, v0.5 has only val2014 file names."""
    stem = f"{image['id']:012d}.jpg"
    url = image.get("coco_url")
    named = [str(url).rsplit("/", 2)[1]] if isinstance(url, str) and url.count("/") >= 2 else []
    return [f"{folder}/{stem}" for folder in dict.fromkeys([*named, "train2017", "val2017"])]


def _names(
    image: Entry, field: str, categories: dict[int, str], quarantine: Quarantine
) -> list[str]:
    """Names of the category ids that a field of an image lists, each once."""
    for category_id in image[field]:
        if not isinstance(category_id, int) or category_id not in categories:
            quarantine.reject(
                SOURCE,
                f"image {image['id']} {field} {category_id}",
                "unknown category id",
                "phrase",
            )
    return list(
        dict.fromkeys(categories[i] for i in image[field] if isinstance(i, int) and i in categories)
    )
