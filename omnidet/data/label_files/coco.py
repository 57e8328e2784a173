"""COCO json: a dataset (`images`, `annotations`, `categories`), or the results of a detector;
https://cocodataset.org/#format-data.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import count
from typing import Any

from omnidet.data.label_files.labelled import Corners, Labelled

MADE_BY = "written by OmniDet, with ids of its own"
"""What `info` says of a dataset."""
BESIDE = "dataset.json"
"""File beside results that says whose ids they have."""


def whole(
    pictures: Iterable[Labelled], names: Sequence[str], image_ids: Sequence[int] | None = None
) -> Iterator[str]:
    """A dataset. Iterates twice over the pictures; `score` stands beside what a detector found.

    Args:
        image_ids: for each picture (default: from 1).
    """
    ids = {name: place for place, name in enumerate(names, start=1)}
    categories = [{"id": place, "name": name} for name, place in ids.items()]
    info = _json({"description": MADE_BY})
    yield f'{{"info": {info},\n"categories": {_json(categories)},\n"images": ['
    separator = ""
    for number, picture in zip(image_ids or count(1), pictures, strict=False):
        image = {"id": number, "file_name": picture.path}
        image |= {"width": picture.width, "height": picture.height}
        yield f"{separator}\n{_json(image)}"
        separator = ","
    yield '],\n"annotations": ['
    annotations = 0
    for number, picture in zip(image_ids or count(1), pictures, strict=False):
        for entry in _entries(picture, number, ids):
            annotations += 1
            area = round(entry["bbox"][2] * entry["bbox"][3], 2)
            entry = {"id": annotations, **entry, "area": area, "iscrowd": 0}
            yield f"{',' if annotations > 1 else ''}\n{_json(entry)}"
    yield "]}\n"


def results(
    pictures: Iterable[Labelled], names: Sequence[str], image_ids: Sequence[int]
) -> Iterator[str]:
    """What `pycocotools` takes as results: a list of boxes with `image_id` and `score`.

    Args:
        image_ids: for each picture.
    """
    ids = {name: place for place, name in enumerate(names, start=1)}
    separator = "["
    for number, picture in zip(image_ids, pictures, strict=True):
        for entry in _entries(picture, number, ids):
            yield f"{separator}\n{_json(entry)}"
            separator = ","
    yield "]\n" if separator == "," else "[]\n"


def _entries(picture: Labelled, number: int, ids: Mapping[str, int]) -> Iterator[dict[str, Any]]:
    for place, (box, name) in enumerate(zip(picture.boxes, picture.names, strict=True)):
        entry = {"image_id": number, "category_id": ids[name], "bbox": _xywh(box)}
        if picture.scores is not None:
            entry["score"] = picture.scores[place]
        yield entry


def _xywh(box: Corners) -> list[float]:
    x0, y0, x1, y1 = box
    return [round(value, 2) for value in (x0, y0, x1 - x0, y1 - y0)]


def _json(content: object) -> str:
    return json.dumps(content, ensure_ascii=False)
