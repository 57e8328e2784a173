"""YOLO txt: a line `class cx cy width height` a box, as shares of the picture; names in `data.yaml` or `classes.txt`.

https://docs.ultralytics.com/datasets/detect/. Outlines (`class x y x y ...`) become the boxes around them.
"""

from __future__ import annotations

import math
import reprlib
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

import yaml

from omnidet.data.annotated.pictures import (
    Annotated,
    Box,
    Picture,
    images_by_stem,
    nearest,
    split_of,
)
from omnidet.data.reading import annotations as files

_MAX_YAML_BYTES = 1_000_000
_NAME_FILES = ("classes.txt", "obj.names", "labels.txt", "_darknet.labels")


def find(root: Path) -> Annotated | None:
    """Every label file that has a picture of its name. Raises ValueError where the names of the classes are not given."""
    pictures = images_by_stem(root)
    texts = [
        p for p in sorted(root.rglob("*.txt")) if p.name not in _NAME_FILES and p.stem in pictures
    ]
    labels = [p for p in texts if _is_label(p)]
    names = _names(root)
    if not labels:
        if names and texts:
            raise ValueError(
                f"{texts[0]} holds no box of YOLO: write lines `class cx cy width height`, the class as a number"
            )
        return None
    if names is None:
        raise ValueError(
            f"{root} has YOLO labels and no names: put `names: [first, second]` into {root / 'data.yaml'}"
        )
    problems: Counter[str] = Counter()
    splits: dict[str, list[Picture]] = defaultdict(list)
    used: set[Path] = set()
    for path in sorted(
        {*texts} - {*labels}
    ):  # nobody knows what such a picture shows: it is not background
        image = nearest(pictures[path.stem], path)
        assert image is not None
        used.add(image)
        problems["picture whose txt does not begin with a box"] += 1
    for path in labels:
        image = nearest(pictures[path.stem], path)
        assert image is not None
        size = files.image_size(image.read_bytes())
        used.add(image)
        if isinstance(size, str):
            problems[f"picture: {size}"] += 1
            continue
        boxes = _boxes(path, names, size, problems)
        splits[split_of(image, root) or split_of(path, root)].append(Picture(image, boxes, size))
    # A picture without labels in a folder with labels shows nothing of the classes: that is how YOLO marks background.
    for image in (path for paths in pictures.values() for path in paths):
        if image not in used:
            splits[split_of(image, root)].append(Picture(image, ()))
    return Annotated("YOLO txt", tuple(names), dict(splits), problems)


def _is_label(path: Path) -> bool:
    lines = path.read_text(encoding="utf-8", errors="replace").split("\n", 1)
    parts = lines[0].split()
    return not parts or (len(parts) >= 5 and _numbers(parts) is not None)


def _numbers(parts: list[str]) -> list[float] | None:
    try:
        return [float(part) for part in parts]
    except ValueError:
        return None


def _names(root: Path) -> list[str] | None:
    for path in sorted([*root.rglob("*.yaml"), *root.rglob("*.yml")]):
        content = _yaml(path)
        names = content.get("names") if isinstance(content, dict) else None
        if isinstance(names, dict) and (
            all(isinstance(k, int) for k in names) or all(isinstance(k, str) for k in names)
        ):
            names = [names[key] for key in sorted(names)]
        if names:
            if not isinstance(names, list) or not all(
                isinstance(name, str | int | float) for name in names
            ):
                # reprlib: a few aliases write out to gigabytes
                raise ValueError(
                    f"{path}: names={reprlib.repr(names)[:200]} is no list of names: give `names: [first, second]`"
                )
            return [files.plain(str(name)) for name in names]
    for name in _NAME_FILES:
        for path in sorted(root.rglob(name)):
            text = path.read_text(encoding="utf-8", errors="replace")
            return [files.plain(line) for line in text.splitlines() if line.strip()]
    return None


def _yaml(path: Path) -> Any:
    if path.stat().st_size > _MAX_YAML_BYTES:
        raise ValueError(
            f"{path} has more than {_MAX_YAML_BYTES} bytes: it is no list of names; move it out of the folder"
        )
    try:
        return yaml.safe_load(path.read_bytes())
    except (
        yaml.YAMLError,
        ValueError,
        TypeError,
        LookupError,
        RecursionError,
    ) as error:  # a date that is none, and the like
        raise ValueError(f"{path} is not YAML: {' '.join(str(error).split())[:300]}") from error


def _boxes(
    path: Path, names: list[str], size: tuple[int, int], problems: Counter[str]
) -> tuple[Box, ...]:
    width, height = size
    boxes = []
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        if not line.strip():
            continue
        values = _numbers(line.split())
        if values is None or len(values) < 5 or not all(math.isfinite(value) for value in values):
            problems["line that is no box"] += 1
            continue
        kind, shares = int(values[0]), values[1:]
        if not 0 <= kind < len(names) or kind != values[0]:
            problems["box of an unknown class"] += 1
            continue
        if len(shares) == 4:
            cx, cy, w, h = shares
        else:  # an outline: its box
            xs, ys = shares[0 : len(shares) // 2 * 2 : 2], shares[1::2]
            cx, cy = (min(xs) + max(xs)) / 2, (min(ys) + max(ys)) / 2
            w, h = max(xs) - min(xs), max(ys) - min(ys)
        box = ((cx - w / 2) * width, (cy - h / 2) * height, w * width, h * height)
        boxes.append(Box(names[kind], box))
    return tuple(boxes)
