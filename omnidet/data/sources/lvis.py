"""LVIS v1 and v0.5: `annotations/lvis_{split}.json` (splits `v1_train`, `v1_val`, `v1_minival`, `v0.5_val`, ...).

https://www.lvisdataset.org/dataset. The images are COCO's, of train2017 and val2017 whatever the split. Boxes are xywh.
Only the names that were annotated or verified absent are the label space of an image: the rest is unknown.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from omnidet.data import annotations as files
from omnidet.data.annotations import Entry, GroundTruth, Regions
from omnidet.data.quarantine import Quarantine
from omnidet.schema import Record

SOURCE = "lvis"
IMAGE = {"id": int, "width": int, "height": int, "neg_category_ids": list, "not_exhaustive_category_ids": list}
ANNOTATION = {"id": int, "image_id": int, "category_id": int}


def read(root: str, split: str, quarantine: Quarantine) -> Iterator[Record]:
    """One Record an image, by ascending id."""
    path = _path(root, split)
    data = _load(root, split)
    categories = _categories(data, path)
    found = files.entries(data, "images", IMAGE, path)
    images = {image["id"]: image for image in files.first_of_each(found, SOURCE, "image", "record", quarantine)}
    boxes = files.by_image(_known(files.entries(data, "annotations", ANNOTATION, path), images, quarantine))
    for image_id, image in sorted(images.items()):
        image_path = files.find_image(root, _image_names(image))
        if image_path is None:
            quarantine.reject(SOURCE, f"image {image_id}", "missing image file")
            continue
        regions, unread = _regions(boxes.get(image_id, []), categories, quarantine)
        partly = {*_names(image, "not_exhaustive_category_ids", categories, quarantine), *unread}
        present = {*regions.phrases, *partly}
        yield Record(
            image=image_path.read_bytes(),
            width=image["width"],
            height=image["height"],
            source=SOURCE,
            image_id=f"coco:{image_id}",
            boxes_xyxy=regions.boxes_xyxy,
            phrases=regions.phrases,
            phrase_boxes=regions.phrase_boxes,
            absent=tuple(n for n in _names(image, "neg_category_ids", categories, quarantine) if n not in present),
            not_exhaustive=tuple(n for n in regions.phrases if n in partly),
        )


def image_ids(root: str, split: str) -> set[str]:
    """Ids of every image in the file: COCO ids."""
    return {f"coco:{image['id']}" for image in files.entries(_load(root, split), "images", IMAGE, _path(root, split))}


def ground_truth(root: str, split: str) -> GroundTruth | None:
    """The annotation file, which the official `lvis` package reads."""
    path = _path(root, split)
    return GroundTruth(str(path), _categories(_load(root, split), path))


def category_phrase(name: str) -> str:
    """The words of a category: `bow_(weapon)` becomes `bow weapon`.

    What stands in brackets is kept, as without it 1,203 names are fewer (`bow_(weapon)`, `bow_(decorative_ribbons)`).
    """
    return files.plain(name.replace("_", " ").replace("(", " ").replace(")", " "))


def _path(root: str, split: str) -> Path:
    return Path(root, "annotations", f"lvis_{split}.json")


def _load(root: str, split: str) -> Entry:
    remedy = "unpack LVIS's annotations into `annotations/` of the COCO root, or name another split, such as v1_train"
    data: Entry = files.load_json(_path(root, split), remedy)
    return data


def _categories(data: Entry, path: Path) -> dict[int, str]:
    found = files.entries(data, "categories", {"id": int, "name": str}, path)
    names = {category["id"]: category_phrase(category["name"]) for category in found}
    if len(set(names.values())) != len(found):
        raise ValueError(f"{path}: two categories share an id or their words: rename one of them")
    return names


def _image_names(image: Entry) -> list[str]:
    """Where the image may stand: v1 names the folder by the URL, v0.5 has val2014 names only."""
    stem = f"{image['id']:012d}.jpg"
    url = image.get("coco_url")
    named = [str(url).rsplit("/", 2)[1]] if isinstance(url, str) and url.count("/") >= 2 else []
    return [f"{folder}/{stem}" for folder in dict.fromkeys([*named, "train2017", "val2017"])]


def _known(found: list[Entry], images: dict[int, Entry], quarantine: Quarantine) -> Iterator[Entry]:
    for entry in files.first_of_each(found, SOURCE, "annotation", "box", quarantine):
        if entry["image_id"] in images:
            yield entry
        else:
            quarantine.reject(SOURCE, f"annotation {entry['id']} of image {entry['image_id']}", "unknown image id", "box")


def _regions(found: list[Entry], categories: dict[int, str], quarantine: Quarantine) -> tuple[Regions, set[str]]:
    """The targets of an image, and the names that have a box which cannot be read."""
    regions, unread = Regions(), set()
    for entry in found:
        name, box = categories.get(entry["category_id"]), files.xywh_to_xyxy(entry.get("bbox"))
        if name is None:
            quarantine.reject(SOURCE, f"annotation {entry['id']}", "unknown category id", "box")
        elif box is None:
            quarantine.reject(SOURCE, f"annotation {entry['id']}", "malformed box", "box")
            unread.add(name)
        else:
            regions.add(name, entry["id"], box)
    return regions, unread


def _names(image: Entry, field: str, categories: dict[int, str], quarantine: Quarantine) -> list[str]:
    """Names of a list of category ids of an image, each once."""
    for category_id in image[field]:
        if category_id not in categories:
            quarantine.reject(SOURCE, f"image {image['id']} {field} {category_id}", "unknown category id", "phrase")
    return list(dict.fromkeys(categories[i] for i in image[field] if i in categories))
