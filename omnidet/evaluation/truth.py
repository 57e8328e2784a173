"""A ground-truth file of COCO or LVIS, checked and put into columns.

A file is refused if the official code would silently miscount it: two images or two annotations
share an id, an annotation has no area. Annotations of images or categories that the file does not
list do not count, as in the official code, nor do those of LVIS whose area is 0.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from omnidet import storage
from omnidet.schema import IntArray

FREQUENCIES = ("r", "c", "f")
"""Rare, common and frequent categories of LVIS."""
FAR = 1e9
"""Coordinates of so many pixels or more are refused: the areas of such boxes overflow."""
Bools = npt.NDArray[np.bool_]
Doubles = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Truth:
    """G boxes on I images of C categories; images and categories are numbered in order of id."""

    image_ids: tuple[int, ...]
    category_ids: tuple[int, ...]
    names: tuple[str, ...]
    frequencies: tuple[str, ...]
    """One of `FREQUENCIES` for each category; empty for COCO."""
    image_G: IntArray
    category_G: IntArray
    boxes_xywh_G4: Doubles
    area_G: Doubles
    """Area of the drawn mask: it decides whether an object is small, medium or large."""
    ignored_G: Bools
    """Whether the box need not be found and a detection of it is not wrong."""
    crowd_G: Bools
    """Whether any number of detections may lie in the box (COCO)."""
    judged_pairs: IntArray | None
    """Sorted `image * C + category` of what is known to be present or absent; None: all (COCO)."""
    not_exhaustive_pairs: IntArray
    """Sorted pairs for which not every object was drawn: what else is found is not wrong (LVIS)."""
    left_out: tuple[int, ...] = ()
    """Ids of images in the file that are not evaluated."""

    @property
    def is_federated(self) -> bool:
        """Whether only some categories of an image are known, as in LVIS."""
        return self.judged_pairs is not None

    def counts(self) -> dict[str, int]:
        """Images, annotations and categories, for the details of the metrics."""
        return {
            "images": len(self.image_ids),
            "annotations": len(self.image_G),
            "categories": len(self.category_ids),
        }


def read_json(location: str | Path) -> Any:
    """Content of a JSON file.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: if the file is not valid JSON, with a one-line message.
    """
    try:
        return json.loads(storage.read_bytes(location))  # in any encoding of JSON, with its mark
    except FileNotFoundError as error:
        raise FileNotFoundError(f"{location} does not exist: give a JSON file that does") from error
    except (ValueError, RecursionError) as error:  # not text, not JSON, or nested without end
        message = f"{location} is not valid JSON ({error}): download or write it again"
        raise ValueError(message) from error


def read_dataset(location: str | Path) -> dict[str, Any]:
    """Content of an annotation file.

    Raises:
        ValueError: if the official code would silently miscount the file.
    """
    content = read_json(location)
    for part in _FIELDS:
        if not isinstance(content, dict) or not isinstance(content.get(part), list):
            raise ValueError(
                f"{location} has no {part!r}: give a COCO or LVIS annotation file with boxes"
            )
    for part, fields in _FIELDS.items():
        for number, entry in enumerate(content[part]):
            _check_entry(entry, fields, f"{location}: entry {number} of {part!r}")
    for part in _FIELDS:
        count, ids = len(content[part]), {entry["id"] for entry in content[part]}
        if len(ids) < count:
            raise ValueError(
                f"{location} has {count} {part} but {len(ids)} ids: give each its own id"
            )
    # Both tools mark a box as found by writing the annotation's id over a 0.
    if any(annotation["id"] == 0 for annotation in content["annotations"]):
        raise ValueError(
            f"{location} has an annotation with id 0, which the official code counts as missed: "
            "number annotations from 1"
        )
    dataset: dict[str, Any] = content
    return dataset


def _check_entry(entry: Any, fields: Sequence[str], where: str) -> None:
    for field in fields:
        if not isinstance(entry, dict) or field not in entry:
            raise ValueError(f"{where} has no {field!r}: give an official file")
        is_valid, wanted = _CHECKS.get(field, _CHECKS["id"])
        if not is_valid(entry[field]):
            raise ValueError(f"{where} has {field} {str(entry[field])[:60]}: give {wanted}")
    for field in ("iscrowd", "ignore"):
        if entry.get(field, 0) not in (0, 1):
            raise ValueError(f"{where} has {field} {str(entry[field])[:60]}: give 0 or 1")
    for field in ("neg_category_ids", "not_exhaustive_category_ids"):
        if not _are_ids(entry.get(field, [])):
            raise ValueError(
                f"{where} has {field} {str(entry[field])[:60]}: give a list of category ids"
            )


def _is_id(value: Any) -> bool:
    return isinstance(value, int) or (isinstance(value, float) and value.is_integer())


def _are_ids(values: Any) -> bool:
    return isinstance(values, list) and all(map(_is_id, values))


def _is_size(value: Any) -> bool:
    return isinstance(value, int | float) and 0 <= value < math.inf


def are_four(value: Any) -> bool:
    """Whether the value is a list of four finite coordinates in pixels."""
    return (
        isinstance(value, list)
        and len(value) == 4
        and all(isinstance(v, int | float) and abs(v) < FAR for v in value)
    )


def is_box(value: Any) -> bool:
    """Whether the value is [x, y, width, height] without negative sides."""
    return are_four(value) and value[2] >= 0 and value[3] >= 0


_FIELDS = {
    "images": ("id",),
    "annotations": ("id", "image_id", "category_id", "bbox", "area"),
    "categories": ("id", "name"),
}
_CHECKS: Mapping[str, tuple[Callable[[Any], bool], str]] = {
    "id": (_is_id, "a whole number"),
    "bbox": (is_box, "finite [x, y, width, height] in pixels"),
    "area": (_is_size, "a number of square pixels from 0"),
    "name": (lambda value: isinstance(value, str | int), "a text"),
}


def read(
    location: str | Path,
    federated: bool | None = False,
    only_images: Collection[int] | None = None,
) -> Truth:
    """A file in columns.

    Args:
        federated: whether the file is of LVIS, where only some categories of an image are known.
            None: it is if its images list `neg_category_ids`.
        only_images: ids of the images to evaluate, such as those of minival; None: all.

    Raises:
        ValueError: for a file of another format, or an image id that it does not have.
    """
    return in_columns(read_dataset(location), federated, only_images, str(location))


def in_columns(
    dataset: Mapping[str, Any],
    federated: bool | None = False,
    only_images: Collection[int] | None = None,
    name: str = "the ground truth",
) -> Truth:
    """The checked content of an annotation file in columns: see `read`.

    Args:
        name: what messages call the file.
    """
    if federated is None:
        federated = any("neg_category_ids" in image for image in dataset["images"])
    if federated and any("neg_category_ids" not in image for image in dataset["images"]):
        raise ValueError(
            f"{name} has images without neg_category_ids: give an LVIS file, or evaluate with COCO"
        )
    every = sorted(image["id"] for image in dataset["images"])
    wanted = _wanted(every, only_images, name)
    images = {image_id: index for index, image_id in enumerate(i for i in every if i in wanted)}
    listed = sorted(dataset["categories"], key=lambda category: category["id"])
    categories = {category["id"]: index for index, category in enumerate(listed)}
    own = [
        a
        for a in dataset["annotations"]
        if a["image_id"] in images
        and a["category_id"] in categories
        # `LVIS.get_ann_ids` asks for an area above 0; pycocotools does not.
        and (a["area"] > 0 or not federated)
    ]
    image_G = np.array([images[a["image_id"]] for a in own], np.int64)
    category_G = np.array([categories[a["category_id"]] for a in own], np.int64)
    # pycocotools knows `iscrowd` and nothing else; lvis knows `ignore`.
    crowd_G = np.array([not federated and bool(a.get("iscrowd", 0)) for a in own], np.bool_)
    ignored_G = np.array([bool(a.get("ignore", 0)) for a in own], np.bool_)
    kept = [image for image in dataset["images"] if image["id"] in images]
    judged = np.empty(0, np.int64)
    if federated:
        positive = image_G * len(categories) + category_G
        judged = np.union1d(positive, _pairs(kept, "neg_category_ids", images, categories))
    return Truth(
        image_ids=tuple(images),
        category_ids=tuple(categories),
        names=_names(listed),
        frequencies=_frequencies(listed, name) if federated else (),
        image_G=image_G,
        category_G=category_G,
        boxes_xywh_G4=np.array([a["bbox"] for a in own], np.float64).reshape(-1, 4),
        area_G=np.array([a["area"] for a in own], np.float64),
        ignored_G=ignored_G if federated else crowd_G,
        crowd_G=crowd_G,
        judged_pairs=judged if federated else None,
        not_exhaustive_pairs=_pairs(
            kept if federated else [], "not_exhaustive_category_ids", images, categories
        ),
        left_out=tuple(i for i in every if i not in wanted),
    )


def contains(sorted_values: IntArray, asked: IntArray) -> Bools:
    """Which of the asked values are among the sorted ones."""
    if not len(sorted_values):
        return np.zeros(len(asked), np.bool_)
    index = np.searchsorted(sorted_values, asked).clip(max=len(sorted_values) - 1)
    found: Bools = sorted_values[index] == asked
    return found


def _wanted(every: Sequence[int], only_images: Collection[int] | None, name: str) -> set[int]:
    wanted = set(every) if only_images is None else set(only_images)
    unknown = sorted(wanted - set(every))
    if unknown or not wanted:
        what = f"has no image {unknown[0]}" if unknown else "has no images to evaluate"
        raise ValueError(f"{name} {what}: give ids of its images")
    return wanted


def _names(categories: Sequence[Mapping[str, Any]]) -> tuple[str, ...]:
    """The name of each category, with the id added where several categories share a name."""
    shared = Counter(category["name"] for category in categories)
    return tuple(
        f"{c['name']} ({c['id']})" if shared[c["name"]] > 1 else str(c["name"]) for c in categories
    )


def _pairs(
    images: Sequence[Mapping[str, Any]],
    field: str,
    image_index: Mapping[int, int],
    category_index: Mapping[int, int],
) -> IntArray:
    pairs = [
        image_index[image["id"]] * len(category_index) + category_index[category_id]
        for image in images
        for category_id in image.get(field, ())
        if category_id in category_index
    ]
    return np.unique(np.array(pairs, np.int64))


def _frequencies(categories: Sequence[Mapping[str, Any]], name: str) -> tuple[str, ...]:
    for category in categories:
        if category.get("frequency") not in FREQUENCIES:
            raise ValueError(
                f"{name}: category {category['name']!r} has no frequency r, c or f: "
                "give an LVIS file"
            )
    return tuple(category["frequency"] for category in categories)
