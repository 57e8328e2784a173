"""LabelMe json: one beside each picture; https://github.com/wkentaro/labelme."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import PurePosixPath
from typing import Any

from omnidet.data.label_files.labelled import Labelled

SUFFIX = ".json"


def each(picture: Labelled, names: Sequence[str]) -> str:  # noqa: ARG001  # names stand in it
    """The annotation of a picture that lies in the same folder."""
    shapes: list[dict[str, Any]] = []
    for place, ((x0, y0, x1, y1), name) in enumerate(
        zip(picture.boxes, picture.names, strict=True)
    ):
        points = [[round(x0, 2), round(y0, 2)], [round(x1, 2), round(y1, 2)]]
        shape = {"label": name, "points": points, "group_id": None, "shape_type": "rectangle"}
        if picture.scores is not None:
            shape["description"] = f"score {picture.scores[place]:.3f}"
        shapes.append({**shape, "flags": {}})
    content: dict[str, Any] = {
        "version": "5.5.0",
        "flags": {},
        "shapes": shapes,
        "imagePath": PurePosixPath(picture.path).name,
        "imageData": None,
        "imageHeight": picture.height,
        "imageWidth": picture.width,
    }
    return json.dumps(content, indent=1, ensure_ascii=False) + "\n"
