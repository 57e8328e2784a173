"""Pictures with named boxes, and what the reader of datasets makes of a folder with them."""

from __future__ import annotations

from pathlib import Path

from omnidet.data.annotated.config import ReadConfig
from omnidet.data.annotated.read import read
from omnidet.data.label_files.labelled import Labelled
from tests import toys

NAMES = ("red star", "ring", "no", "Ärger & <mehr>")
PICTURES = (
    Labelled("a.png", 90, 30, [(1.25, 2.5, 20.75, 28.0), (40, 0, 90, 30)], ["red star", "ring"]),
    Labelled("sub/b c.png", 40, 64, [(0.0, 0.0, 40.0, 63.99)], ["no"]),
    Labelled("sub/empty.png", 33, 33),
    Labelled("ü.png", 50, 50, [(3.33, 4.44, 44.44, 33.33)], ["Ärger & <mehr>"]),
)


def write_pictures(folder: Path) -> None:
    """The picture files."""
    for number, picture in enumerate(PICTURES):
        target = folder / picture.path
        target.parent.mkdir(parents=True, exist_ok=True)
        box = (number, number, number + 9, number + 9)
        target.write_bytes(toys.png(picture.width, picture.height, [box]))


def found(root: Path, kind: str) -> dict[str, list[tuple[str, list[float]]]]:
    """The boxes of each picture, as corners, by the path below `images/`; nothing may be lost."""
    read_back = read(root, ReadConfig(format=kind, max_lost=0.0))
    boxes = {}
    for picture in read_back.pictures():
        path = picture.path.relative_to(root / "images").as_posix()
        corners = [
            (b.name, [*b.xywh[:2], b.xywh[0] + b.xywh[2], b.xywh[1] + b.xywh[3]])
            for b in picture.boxes
        ]
        boxes[path] = sorted(corners)
    return boxes


def assert_same(root: Path, kind: str, tolerance: float) -> None:
    """What is read is what was written."""
    back = found(root, kind)
    assert sorted(back) == sorted(picture.path for picture in PICTURES)
    for picture in PICTURES:
        drawn = sorted(zip(picture.names, map(list, picture.boxes), strict=True))
        assert [name.lower() for name, _ in back[picture.path]] == [
            name.lower() for name, _ in drawn
        ]
        for (_, one), (_, other) in zip(back[picture.path], drawn, strict=True):
            assert max(abs(a - b) for a, b in zip(one, other, strict=True)) <= tolerance
