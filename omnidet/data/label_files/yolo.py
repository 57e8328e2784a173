"""YOLO txt: `class cx cy width height` as shares of the picture, and `data.yaml` with the names;
https://docs.ultralytics.com/datasets/detect/.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import yaml

from omnidet.data.label_files.labelled import Labelled

SUFFIX = ".txt"


def each(picture: Labelled, names: Sequence[str]) -> str:
    """The label file of a picture; an empty one says that nothing is there. A score is the sixth
    number.
    """
    number: Mapping[str, int] = {name: place for place, name in enumerate(names)}
    lines = []
    for place, ((x0, y0, x1, y1), name) in enumerate(
        zip(picture.boxes, picture.names, strict=True)
    ):
        centre = (x0 + x1) / 2 / picture.width, (y0 + y1) / 2 / picture.height
        size = (x1 - x0) / picture.width, (y1 - y0) / picture.height
        values = [f"{value:.7f}" for value in (*centre, *size)]
        if picture.scores is not None:
            values.append(f"{picture.scores[place]:.6f}")
        lines.append(" ".join([str(number[name]), *values]))
    return "".join(f"{line}\n" for line in lines)


def description(names: Sequence[str], pictures: str) -> str:
    """`data.yaml`. All pictures stand for training and for validation: nothing was set apart.

    Args:
        pictures: folder of the pictures, relative to the file.
    """
    content = {"path": ".", "train": pictures, "val": pictures, "names": dict(enumerate(names))}
    text: str = yaml.safe_dump(content, sort_keys=False, allow_unicode=True, width=1000)
    return text
