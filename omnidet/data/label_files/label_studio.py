"""Label Studio: a list of tasks, boxes in percent; https://labelstud.io/guide/predictions.

Boxes that come with scores are written as predictions, which a person accepts or corrects; boxes
without as annotations, which are read as they are.
"""

from __future__ import annotations

import json
import os
import urllib.parse
from collections.abc import Iterable, Iterator, Sequence
from typing import Any
from xml.etree import ElementTree

from omnidet.data.label_files.labelled import Labelled
from omnidet.data.label_files.xml_text import text_of


def whole(pictures: Iterable[Labelled], names: Sequence[str]) -> Iterator[str]:  # noqa: ARG001
    """The tasks. Pictures are found as "local files" below the folder that
    `LOCAL_FILES_DOCUMENT_ROOT` names; an address stays an address.
    """
    separator = "["
    for number, picture in enumerate(pictures, start=1):
        yield f"{separator}\n{json.dumps(_task(picture, number), ensure_ascii=False)}"
        separator = ","
    yield "]\n" if separator == "," else "[]\n"


def interface(names: Sequence[str]) -> str:
    """The labelling interface of the project: Settings, Labeling Interface, Code."""
    view = ElementTree.Element("View")
    ElementTree.SubElement(view, "Image", {"name": "image", "value": "$image"})
    labels = ElementTree.SubElement(view, "RectangleLabels", {"name": "label", "toName": "image"})
    for name in names:
        ElementTree.SubElement(labels, "Label", {"value": name})
    return text_of(view)


def _task(picture: Labelled, number: int) -> dict[str, Any]:
    is_address = picture.path.startswith(("http://", "https://", "s3://"))
    local = f"/data/local-files/?d={urllib.parse.quote(os.fsencode(picture.path))}"
    task: dict[str, Any] = {
        "id": number,
        "data": {"image": picture.path if is_address else local},
    }
    result = [_region(picture, place) for place in range(len(picture.boxes))]
    if picture.scores is None:
        return {**task, "annotations": [{"result": result}]}
    best = max(picture.scores, default=0.0)
    prediction = {"model_version": "omnidet", "score": best, "result": result}
    return {**task, "predictions": [prediction]}


def _region(picture: Labelled, place: int) -> dict[str, Any]:
    x0, y0, x1, y1 = picture.boxes[place]
    across, along = 100 / picture.width, 100 / picture.height
    region: dict[str, Any] = {
        "id": f"box{place}",
        "type": "rectanglelabels",
        "from_name": "label",
        "to_name": "image",
        "original_width": picture.width,
        "original_height": picture.height,
        "image_rotation": 0,
        "value": {
            "x": round(x0 * across, 6),
            "y": round(y0 * along, 6),
            "width": round((x1 - x0) * across, 6),
            "height": round((y1 - y0) * along, 6),
            "rotation": 0,
            "rectanglelabels": [picture.names[place]],
        },
    }
    if picture.scores is not None:
        region["score"] = picture.scores[place]
    return region
