"""Boxes in the upper left part of their pictures alone."""

from __future__ import annotations

import pytest

from omnidet.data.annotated import reach, units
from omnidet.data.annotated.read import read
from tests.data.annotated import drawing
from tests.data.annotated.drawing import Folder, Scene, Thing, scenes


def _scaled(folder: Folder, by: float, count: int = 12, kind: str = "csv") -> None:
    """Three boxes in each picture of 960 x 640, written for one that is `by` as large."""
    lines = ["filename,class,xmin,ymin,xmax,ymax"]
    for scene in folder.pictures(scenes(count, per_picture=3)):
        drawing.put(folder.root / scene.file, Scene(scene.file, [], (960, 640)), folder.truth)
        things = [
            Thing(t.name, (10 * by * t.xywh[0], 10 * by * t.xywh[1], 50 * by, 50 * by))
            for t in scene.things
        ]
        for thing in things:
            x, y, w, h = thing.xywh
            lines.append(f"{scene.file},{thing.name},{x},{y},{x + w},{y + h}")
        if kind == "yolo":
            rows = [drawing.yolo_row(thing, ("cat", "dog"), (960, 640)) for thing in things]
            folder.write(f"{scene.stem}.txt", "\n".join(rows))
    if kind == "yolo":
        folder.write("classes.txt", "cat\ndog\n")
    else:
        folder.write("boxes.csv", "\n".join(lines))


def _doubts(folder: Folder) -> list[str]:
    return [note for note in read(folder.root).account.notes if "reaches beyond" in note]


@pytest.mark.parametrize("kind", ["csv", "yolo"])
@pytest.mark.parametrize("by", [0.5, 0.6])
def test_boxes_of_smaller_pictures_are_said(folder: Folder, kind, by):
    _scaled(folder, by, kind=kind)
    (note,) = _doubts(folder)
    assert "not one of 36 boxes" in note
    assert "smaller pictures" in note


def test_boxes_in_percent_are_said(folder: Folder):
    _scaled(folder, 0.1)
    (note,) = _doubts(folder)
    assert "percent" in note


@pytest.mark.parametrize(("by", "count"), [(1.0, 12), (0.9, 12), (0.5, 4)])
def test_boxes_all_over_their_pictures_and_few_of_them_are_no_reason(folder: Folder, by, count):
    _scaled(folder, by, count)
    assert _doubts(folder) == []


def test_the_less_boxes_reach_the_fewer_tell_that_they_are_too_small(folder: Folder):
    _scaled(folder, 0.3, 5)
    (note,) = _doubts(folder)
    assert "not one of 15 boxes" in note


def test_things_in_the_middle_of_their_pictures_are_no_reason():
    box = units.Drawn((400, 260, 560, 380), (960, 640), None, None, "")
    assert reach.doubt([box] * 40, 20, False) == ""
    moved = units.Drawn((20, 10, 560, 380), (960, 640), None, None, "")
    assert "60 %" in reach.doubt([box] * 40 + [moved], 20, False)


@pytest.mark.parametrize("num_percent", [4, 9])
def test_rows_in_percent_beside_rows_in_pixels_are_said(folder: Folder, num_percent):
    _scaled(folder, 1.0)
    head, *rows = (folder.root / "boxes.csv").read_text().splitlines()
    for i in range(num_percent):
        name, kind, *corners = rows[i].split(",")
        shares = [float(c) / side for c, side in zip(corners, (960, 640) * 2, strict=True)]
        rows[i] = ",".join([name, kind, *(f"{100 * share:.2f}" for share in shares)])
    folder.write("boxes.csv", "\n".join([head, *rows]))
    said = "".join(_doubts(folder))
    assert ("percent" in said) == (num_percent > 8)
    assert ("fractions of a pixel" in said) == (num_percent > 8)


def test_a_file_that_was_drawn_on_smaller_pictures_beside_another_is_said(folder: Folder):
    for part, by in (("a", 1), ("b", 2)):
        own = folder.pictures(scenes(12, per_picture=3, prefix=part))
        small = [
            Scene(
                s.file,
                [Thing(t.name, tuple(v / by for v in t.xywh)) for t in s.things],
            )
            for s in own
        ]
        content = drawing.coco(small)
        for image in content["images"]:
            del image["width"], image["height"]
        folder.write(f"{part}.json", content)
    (note,) = _doubts(folder)
    for word in ("36 boxes of b.json", "49 %"):
        assert word in note


def test_outlines_of_smaller_pictures_are_said(folder: Folder):
    small = scenes(12, per_picture=3)
    for scene in small:
        large = Scene(scene.file, [], (2 * scene.size[0], 2 * scene.size[1]))
        drawing.put(folder.root / scene.file, large, folder.truth)
    content = drawing.coco(small)
    for image in content["images"]:
        del image["width"], image["height"]
    for annotation in content["annotations"]:
        x, y, w, h = annotation.pop("bbox")
        annotation["segmentation"] = [[x, y, x + w, y, x + w, y + h, x, y + h]]
    folder.write("a.json", content)
    (note,) = _doubts(folder)
    assert "not one of 36 boxes" in note


def test_things_in_one_place_in_all_files_are_no_reason(folder: Folder):
    """Before a fixed camera."""
    for day in ("a", "b"):
        own = scenes(12, prefix=day)
        placed = [Scene(s.file, [Thing("cat", (10, 12, 20, 18))]) for s in own]
        folder.write(f"{day}.json", drawing.coco(folder.pictures(placed)))
    assert _doubts(folder) == []
