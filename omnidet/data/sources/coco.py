"""COCO: `annotations/instances_{split}.json` and, if present, `annotations/captions_{split}.json`.

https://cocodataset.org/#format-data. Any dataset in the same format can be read. Boxes are xywh in
pixels.
"""

from __future__ import annotations

import functools
import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

from omnidet import storage
from omnidet.data.reading import annotations as files
from omnidet.data.reading import coco_json
from omnidet.data.reading.annotations import PIECE_UNITS, Entry, GroundTruth, Piece
from omnidet.data.reading.coco_json import ANNOTATION, CATEGORY, KEPT_OF_BOXES
from omnidet.data.reading.dataset_folder import DataFolder
from omnidet.data.reading.quarantine import Quarantine
from omnidet.schema import Record

SOURCE = "coco"
COLLECTION = "coco"
IS_CURATED = True
LEAKING_SPLITS: dict[str, str] = {}
IMAGE = {"id": int, "file_name": str, "width": int, "height": int}
KEPT_OF_CAPTIONS = (*ANNOTATION, "caption")
REMEDY = "unpack COCO's annotations into the root, or name another split"


class _Image(NamedTuple):
    """What both files say about an image."""

    entry: Entry
    is_searched: bool
    """Whether the instances file lists it: any other image may not have been searched for names."""
    boxes: list[Entry]
    captions: list[Entry]


def read(root: str, split: str, quarantine: Quarantine) -> Iterator[Record]:
    """One Record per image of either file, by ascending id. Images without boxes are negatives."""
    return files.chained(pieces(root, split, quarantine), quarantine)


def pieces(
    root: str, split: str, quarantine: Quarantine, size: int = PIECE_UNITS
) -> Iterator[Piece]:
    """The same, `size` images per piece."""
    folder = DataFolder(root)
    check(root, split)
    instances, captions = _name("instances", split), _name("captions", split)
    path, captions_path = storage.join(root, instances), storage.join(root, captions)
    boxed = coco_json.lists(
        root,
        instances,
        REMEDY,
        {"categories": CATEGORY, "images": IMAGE, "annotations": KEPT_OF_BOXES},
    )
    categories = coco_json.categories(boxed, path)
    images = coco_json.images(boxed, IMAGE, path, SOURCE, quarantine)
    captioned, texts, content = {}, {}, None
    if folder.has(captions):
        content = coco_json.lists(
            root, captions, REMEDY, {"images": IMAGE, "annotations": KEPT_OF_CAPTIONS}
        )
        captioned = coco_json.images(content, IMAGE, captions_path, SOURCE, quarantine)
    listed_as = coco_json.first_listing(images)
    found = files.entries(boxed, "annotations", ANNOTATION, path)
    boxes = _by_listing(coco_json.known(found, images, SOURCE, quarantine), listed_as)
    if content is not None:
        captions_as = coco_json.first_listing(captioned)
        found = files.entries(content, "annotations", ANNOTATION, captions_path)
        texts = _by_listing(
            coco_json.known(found, captioned, SOURCE, quarantine, "caption", "caption"), captions_as
        )
        captioned = _first(captioned, captions_as)
    images = _first(images, listed_as)
    for batch in files.batched(sorted({**captioned, **images}.items()), size):
        listed = [
            _Image(entry, i in images, boxes.pop(i, []), texts.pop(i, [])) for i, entry in batch
        ]
        yield functools.partial(_read_piece, folder, split, categories, listed)


def _first(images: dict[int, Entry], listed_as: Mapping[int, int]) -> dict[int, Entry]:
    """One entry per file, under the id of its first listing."""
    if all(listed_as[image_id] == image_id for image_id in images):
        return images
    return {listed_as[i]: {**image, "id": listed_as[i]} for i, image in images.items()}


def _by_listing(found: Iterable[Entry], listed_as: Mapping[int, int]) -> dict[int, list[Entry]]:
    """Annotations by the first listing of their image's file."""
    groups: dict[int, list[Entry]] = defaultdict(list)
    for entry in found:
        groups[listed_as[entry["image_id"]]].append(entry)
    return dict(groups)


def _read_piece(
    folder: DataFolder,
    split: str,
    categories: dict[int, str],
    images: list[_Image],
    quarantine: Quarantine,
) -> Iterator[Record]:
    contents = folder.read_images([[f"{split}/{image.entry['file_name']}"] for image in images])
    for image, content in zip(images, contents, strict=True):
        image_id = image.entry["id"]
        if content is None:
            quarantine.reject(
                SOURCE, f"image {image_id} {image.entry['file_name']}", "missing image file"
            )
            continue
        regions, crowded = coco_json.regions(image.boxes, categories, SOURCE, quarantine)
        present = {*regions.phrases, *crowded}
        yield Record(
            image=content,
            width=image.entry["width"],
            height=image.entry["height"],
            source=SOURCE,
            image_id=f"{COLLECTION}:{image_id}",
            boxes_xyxy=regions.boxes_xyxy,
            phrases=regions.phrases,
            phrase_boxes=regions.phrase_boxes,
            absent=tuple(n for n in categories.values() if n not in present)
            if image.is_searched
            else (),
            not_exhaustive=tuple(n for n in regions.phrases if n in crowded),
            caption=_caption(image.captions, quarantine),
        )


def check(root: str, split: str) -> None:
    """Raise FileNotFoundError if the instances file is missing. The captions are optional."""
    files.require(DataFolder(root), _name("instances", split), REMEDY)


def image_ids(root: str, split: str) -> set[str]:
    """Ids of all images of either file."""
    folder, found = DataFolder(root), set()
    check(root, split)
    for name in (_name("instances", split), _name("captions", split)):
        if folder.has(name):
            listed_as = coco_json.first_listing(_listed(root, name))
            found |= {f"{COLLECTION}:{image_id}" for image_id in listed_as.values()}
    return found


def _listed(root: str, name: str) -> dict[int, Entry]:
    content = coco_json.lists(root, name, REMEDY, {"images": IMAGE})
    found = files.entries(content, "images", IMAGE, storage.join(root, name))
    return {image["id"]: image for image in found}


def ground_truth(root: str, split: str) -> GroundTruth | None:
    """The instances file, which pycocotools reads; with one entry per file if some are repeated."""
    name = _name("instances", split)
    truth = coco_json.ground_truth(root, name, REMEDY)
    images = _listed(root, name)
    listed_as = coco_json.first_listing(images)
    if len(set(listed_as.values())) == len(listed_as):
        return truth
    whole = json.loads(DataFolder(root).path(name).read_bytes())
    whole["images"] = list(_first(images, listed_as).values())
    whole["annotations"] = [
        {**entry, "image_id": listed_as.get(entry["image_id"], entry["image_id"])}
        for entry in whole["annotations"]
    ]
    return GroundTruth("", truth.names, json.dumps(whole).encode())


def _name(task: str, split: str) -> str:
    return f"annotations/{task}_{split}.json"


def _caption(found: list[Entry], quarantine: Quarantine) -> str:
    texts = []
    for entry in found:
        text = entry.get("caption")
        text = files.plain(text) if isinstance(text, str) else ""
        if text:
            texts.append(text)
        else:
            quarantine.reject(
                SOURCE,
                f"caption {entry['id']} of image {entry['image_id']}",
                "empty caption",
                "caption",
            )
    return files.join_captions(texts)
