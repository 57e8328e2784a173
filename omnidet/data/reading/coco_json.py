"""What sources in COCO's JSON format share: images, categories, and annotations that name both."""

from __future__ import annotations

from collections.abc import Callable, Collection, Container, Iterator, Mapping
from typing import Any

from omnidet import storage
from omnidet.data.reading import annotations as files
from omnidet.data.reading.annotations import Entry, GroundTruth, Regions
from omnidet.data.reading.dataset_folder import DataFolder
from omnidet.data.reading.quarantine import Quarantine

CATEGORY = {"id": int, "name": str}
ANNOTATION = {"id": int, "image_id": int}
KEPT_OF_BOXES = (*ANNOTATION, "category_id", "bbox", "iscrowd")


def lists(root: str, name: str, remedy: str, keep: Mapping[str, Collection[str]]) -> Any:
    """The lists of a file, and of their entries only the named fields."""
    return files.load_json(
        DataFolder(root), name, remedy, {key: tuple(fields) for key, fields in keep.items()}
    )


def categories(
    content: Any, path: str, phrase: Callable[[str], str] = files.plain
) -> dict[int, str]:
    """The words of each category. Raises ValueError if two share an id or their words."""
    found = files.entries(content, "categories", CATEGORY, path)
    names = {category["id"]: phrase(category["name"]) for category in found}
    if len(set(names.values())) != len(found):
        raise ValueError(f"{path}: two categories share an id or their words: rename one of them")
    return names


def images(
    content: Any, fields: Mapping[str, type], path: str, source: str, quarantine: Quarantine
) -> dict[int, Entry]:
    """The images, by id."""
    found = files.entries(content, "images", fields, path)
    return {
        image["id"]: image
        for image in files.first_of_each(found, source, "image", "record", quarantine)
    }


def first_listing(images: Mapping[int, Entry]) -> dict[int, int]:
    """For each image id the lowest one of the same file: some tools list a file once per box."""
    first: dict[str, int] = {}
    for image_id, image in sorted(images.items()):
        first.setdefault(image["file_name"], image_id)
    return {image_id: first[image["file_name"]] for image_id, image in images.items()}


def file_of(image: Mapping[str, Any]) -> str:
    """The file that an image is said to be in; LVIS gives COCO's addresses in place of names. Empty
    if there is neither."""
    for field in ("file_name", "coco_url"):
        if isinstance(image.get(field), str) and image[field].strip():
            return str(image[field])
    return ""


def image_ids(root: str, name: str, remedy: str, fields: Mapping[str, type]) -> set[int]:
    """The ids of all images of a file."""
    content = lists(root, name, remedy, {"images": fields})
    return {
        image["id"] for image in files.entries(content, "images", fields, storage.join(root, name))
    }


def known(
    found: list[Entry],
    ids: Container[int],
    source: str,
    quarantine: Quarantine,
    what: str = "annotation",
    kind: str = "box",
) -> Iterator[Entry]:
    """The entries, each id once, whose image exists."""
    for entry in files.first_of_each(found, source, what, kind, quarantine):
        if entry["image_id"] in ids:
            yield entry
        else:
            quarantine.reject(
                source,
                f"{what} {entry['id']} of image {entry['image_id']}",
                "unknown image id",
                kind,
            )


def regions(
    found: list[Entry], names: Mapping[int, str], source: str, quarantine: Quarantine
) -> tuple[Regions, set[str]]:
    """The targets of an image, and the names that stand for more than their boxes.

    A crowd box frames a group: it is not a target, and its name is neither exhaustive nor absent.
    The same holds for the name of a box that cannot be read, and for all names if the category of a
    box is unknown: it may be any of them.
    """
    targets, unclear = Regions(), set[str]()
    for entry in found:
        category_id = entry.get("category_id")
        name = names.get(category_id) if isinstance(category_id, int) else None
        if name is None:
            quarantine.reject(source, f"annotation {entry['id']}", "unknown category id", "box")
            unclear.update(names.values())
            continue
        box = files.xywh_to_xyxy(entry.get("bbox"))
        if box is None:
            quarantine.reject(source, f"annotation {entry['id']}", "malformed box", "box")
        if box is None or entry.get("iscrowd"):
            unclear.add(name)
        else:
            targets.add(name, entry["id"], box)
    return targets, unclear


def ground_truth(
    root: str, name: str, remedy: str, phrase: Callable[[str], str] = files.plain
) -> GroundTruth:
    """The file itself, which the official tool reads, with the words of its categories."""
    content = lists(root, name, remedy, {"categories": CATEGORY})
    return GroundTruth(
        str(DataFolder(root).path(name)), categories(content, storage.join(root, name), phrase)
    )
