"""COCO: `annotations/instances_{split}.json` and, where it is there, `annotations/captions_{split}.json`.

https://cocodataset.org/#format-data. Any dataset in the same format can be read. Boxes are xywh in pixels.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from omnidet.data import annotations as files
from omnidet.data.annotations import Entry, GroundTruth, Regions
from omnidet.data.quarantine import Quarantine
from omnidet.schema import Record

SOURCE = "coco"
IMAGE = {"id": int, "file_name": str, "width": int, "height": int}
ANNOTATION = {"id": int, "image_id": int}


def read(root: str, split: str, quarantine: Quarantine) -> Iterator[Record]:
    """One Record an image of the union of both files, by ascending id; images without boxes are kept as negatives."""
    instances = _load(root, "instances", split)
    captions = _load(root, "captions", split)
    categories = _categories(instances, _path(root, "instances", split))
    boxed = _images(instances, root, "instances", split, quarantine)
    captioned = _images(captions, root, "captions", split, quarantine) if captions else {}
    box_entries = files.entries(instances, "annotations", ANNOTATION, _path(root, "instances", split))
    boxes = files.by_image(_known(box_entries, boxed, "annotation", "box", quarantine))
    texts = {}
    if captions:
        text_entries = files.entries(captions, "annotations", ANNOTATION, _path(root, "captions", split))
        texts = files.by_image(_known(text_entries, captioned, "caption", "caption", quarantine))
    for image_id, image in sorted({**captioned, **boxed}.items()):
        path = files.find_image(root, [f"{split}/{image['file_name']}"])
        if path is None:
            quarantine.reject(SOURCE, f"image {image_id} {image['file_name']}", "missing image file")
            continue
        regions, crowded = _regions(boxes.get(image_id, []), categories, quarantine)
        present = {*regions.phrases, *crowded}
        yield Record(
            image=path.read_bytes(),
            width=image["width"],
            height=image["height"],
            source=SOURCE,
            image_id=f"coco:{image_id}",
            boxes_xyxy=regions.boxes_xyxy,
            phrases=regions.phrases,
            phrase_boxes=regions.phrase_boxes,
            # An image that only the captions file covers was perhaps never searched for the 80 names.
            absent=tuple(n for n in categories.values() if n not in present) if image_id in boxed else (),
            not_exhaustive=tuple(n for n in regions.phrases if n in crowded),
            caption=_caption(texts.get(image_id, []), quarantine),
        )


def image_ids(root: str, split: str) -> set[str]:
    """Ids of the union of both files."""
    found = set()
    for task in ("instances", "captions"):
        data = _load(root, task, split)
        if data:
            found |= {f"coco:{image['id']}" for image in files.entries(data, "images", IMAGE, _path(root, task, split))}
    return found


def ground_truth(root: str, split: str) -> GroundTruth | None:
    """The instances file, which pycocotools reads."""
    path = _path(root, "instances", split)
    return GroundTruth(str(path), _categories(_load(root, "instances", split), path))


def _path(root: str, task: str, split: str) -> Path:
    return Path(root, "annotations", f"{task}_{split}.json")


def _load(root: str, task: str, split: str) -> Entry | None:
    path = _path(root, task, split)
    if task == "captions" and not path.is_file():
        return None
    data: Entry = files.load_json(path, "unpack COCO's annotations into the root, or name another split")
    return data


def _categories(instances: Entry | None, path: Path) -> dict[int, str]:
    found = files.entries(instances, "categories", {"id": int, "name": str}, path)
    names = {category["id"]: files.plain(category["name"]) for category in found}
    if len(set(names.values())) != len(found):
        raise ValueError(f"{path}: two categories share an id or a name: rename one of them")
    return names


def _images(data: Entry | None, root: str, task: str, split: str, quarantine: Quarantine) -> dict[int, Entry]:
    found = files.entries(data, "images", IMAGE, _path(root, task, split))
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
        name = categories.get(entry.get("category_id", -1))
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
