"""Pascal VOC: one xml a picture; `ImageSets/Main/*.txt` for the splits. Corners count from 1, the last pixel included.

http://host.robots.ox.ac.uk/pascal/VOC/voc2012/devkit_doc.pdf
"""

from __future__ import annotations

from collections import Counter, defaultdict
from pathlib import Path

from omnidet.data.annotated.pictures import (
    SPLITS,
    Annotated,
    Box,
    Picture,
    images_by_stem,
    nearest,
    split_of,
)
from omnidet.data.reading import annotations as files

_MAX_BYTES = 10_000_000
"""An annotation is some kilobytes: a larger file is none, and is not parsed."""


def find(root: Path) -> Annotated | None:
    """Every annotation below the folder. Raises ValueError if the folder has xml files and not one can be read."""
    paths = [path for path in sorted(root.rglob("*.xml")) if path.is_file()]
    if not paths:
        return None
    pictures = images_by_stem(root)
    listed = _listed(root)
    splits: dict[str, list[Picture]] = defaultdict(list)
    names: dict[str, None] = {}
    problems: Counter[str] = Counter()
    for path in paths:
        boxes = _boxes(path, problems)
        if boxes is None:
            continue
        image = nearest(pictures.get(path.stem, []), path)
        if image is None:
            problems["picture that is not there"] += 1
            continue
        names.update(dict.fromkeys(box.name for box in boxes))
        splits[listed.get(path.stem, "" if listed else split_of(path, root))].append(
            Picture(image, tuple(boxes))
        )
    if not splits and set(problems) <= {"file that is no VOC annotation"}:
        return None
    return Annotated("Pascal VOC xml", tuple(sorted(names)), dict(splits), problems)


def _listed(root: Path) -> dict[str, str]:
    """Split of each picture by the lists of the dataset; `trainval.txt` and lists of single classes are left out."""
    found: dict[str, str] = {}
    for path in sorted(root.rglob("ImageSets/Main/*.txt")):
        if path.stem in SPLITS:
            for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
                if line.split():
                    found[line.split()[0]] = SPLITS[path.stem]
    return found


def _boxes(path: Path, problems: Counter[str]) -> list[Box] | None:
    """The objects of one file, or None (and the reason counted) if it is none or cannot be read."""
    try:
        if path.stat().st_size > _MAX_BYTES:
            raise ValueError
        tree = files.parse_xml(path.read_bytes())
    except ValueError:
        problems["file that is no xml"] += 1
        return None
    if tree.tag != "annotation":
        problems["file that is no VOC annotation"] += 1
        return None
    boxes = []
    for thing in tree.iter("object"):
        name = files.plain(thing.findtext("name") or "")
        try:
            x0, y0, x1, y1 = (
                float(thing.findtext(f"bndbox/{corner}") or "")
                for corner in ("xmin", "ymin", "xmax", "ymax")
            )
        except ValueError:
            problems["box that is not four numbers"] += 1
            continue
        # From pixels that count from 1, the last included, to edges that count from 0: only the near corner moves.
        # What ends where it begins has no size; tools that count otherwise write such boxes by accident.
        empty = x1 <= x0 or y1 <= y0
        boxes.append(
            Box(
                name, (x0 - 1, y0 - 1, 0.0 if empty else x1 - x0 + 1, 0.0 if empty else y1 - y0 + 1)
            )
        )
    return boxes
