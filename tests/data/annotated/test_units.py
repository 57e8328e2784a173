"""Boxes in another unit than their format wants."""

from __future__ import annotations

import pytest

from omnidet.data.annotated import units
from omnidet.data.annotated.read import read
from tests.data.annotated import drawing
from tests.data.annotated.drawing import Folder, Scene, Thing, scenes


@pytest.mark.parametrize("unit", ["pixels", "corners", "upper left corner"])
def test_yolo_in_another_unit(folder: Folder, unit):
    own = folder.pictures(scenes(60))
    for scene in own:
        x, y, w, h = scene.things[0].xywh
        numbers = {
            "pixels": (x + w / 2, y + h / 2, w, h),
            "corners": (x / 96, y / 64, (x + w) / 96, (y + h) / 64),
            "upper left corner": (x / 96, y / 64, w / 96, h / 64),
        }[unit]
        kind = ("cat", "dog").index(scene.things[0].name)
        folder.write(f"{scene.stem}.txt", " ".join(map(str, (kind, *numbers))))
    folder.write("classes.txt", "cat\ndog\n")
    assert unit in folder.refusal()


@pytest.mark.parametrize("num_near_edge", [0, 3])
def test_a_few_boxes_tell_corners_from_centres(folder: Folder, num_near_edge):
    """As centres a few of them stick out, as corners not one."""
    for number, scene in enumerate(folder.pictures(scenes(50))):
        x, y = 1 if number < num_near_edge else 20 + number % 40, 20
        scene.things = [Thing("cat", (x, y, 10, 8))]
        drawing.put(folder.root / scene.file, scene, folder.truth)
        folder.write(f"{scene.stem}.txt", f"0 {x / 96} {y / 64} {10 / 96} {8 / 64}")
    folder.write("classes.txt", "cat\n")
    if num_near_edge:
        assert "upper left corner" in folder.refusal()
    else:
        assert sum(len(p.boxes) for p in read(folder.root).pictures()) == 50


@pytest.mark.parametrize(("unit", "cause"), [("shares", "shares"), ("corners", "corners")])
@pytest.mark.parametrize("with_area", [True, False])
def test_coco_in_another_unit(folder: Folder, unit, cause, with_area):
    def change(content):
        for annotation in content["annotations"]:
            x, y, w, h = annotation["bbox"]
            shares, corners = [x / 96, y / 64, w / 96, h / 64], [x, y, x + w, y + h]
            annotation["bbox"] = shares if unit == "shares" else corners
            if not with_area:
                del annotation["area"]

    folder.coco(count=16, change=change)
    assert cause in folder.refusal()


@pytest.mark.parametrize("unit", ["shares", "width"])
def test_voc_in_another_unit(folder: Folder, unit):
    for scene in folder.pictures(scenes(12)):
        x, y, w, h = scene.things[0].xywh
        wrong = (x / 96, y / 64, (x + w) / 96, (y + h) / 64) if unit == "shares" else (x, y, w, h)
        text = drawing.voc(scene)
        for tag, right, value in zip(
            ("xmin", "ymin", "xmax", "ymax"), (x + 1, y + 1, x + w, y + h), wrong, strict=True
        ):
            text = text.replace(f"<{tag}>{right}</{tag}>", f"<{tag}>{value}</{tag}>")
        folder.write(f"{scene.stem}.xml", text)
    assert unit in folder.refusal()


@pytest.mark.parametrize(
    ("order", "cause"),
    [
        ((2, 3, 0, 1), "corners of which the far one comes first"),
        ((2, 1, 0, 3), "corners of which the far one comes first"),
        ((0, 1, 4, 5), "width and height"),
        ((6, 7, 0, 1), "another order or unit"),
    ],
)
def test_boxes_that_end_before_they_begin_are_called_what_they_are(folder: Folder, order, cause):
    lines = ["filename,class,xmin,ymin,xmax,ymax"]
    for scene in folder.pictures(scenes(24)):
        (thing,) = scene.things
        x, y, w, h = thing.xywh
        numbers = (x, y, x + w, y + h, w, h, x + 900, y + 900)
        lines.append(f"{scene.file},{thing.name},{','.join(str(numbers[i]) for i in order)}")
    folder.write("boxes.csv", "\n".join(lines))
    assert cause in folder.refusal()


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


@pytest.mark.parametrize(("by", "count"), [(1.0, 12), (0.9, 12), (0.5, 9)])
def test_boxes_all_over_their_pictures_and_few_of_them_are_no_reason(folder: Folder, by, count):
    _scaled(folder, by, count)
    assert _doubts(folder) == []


def test_things_in_the_middle_of_their_pictures_are_no_reason():
    box = units.Drawn((400, 260, 560, 380), (960, 640), None, None, "")
    assert units.doubt([box] * 40, 20, False) == ""
    moved = units.Drawn((20, 10, 560, 380), (960, 640), None, None, "")
    assert "60 %" in units.doubt([box] * 40 + [moved], 20, False)


def test_outlines_tell_corners_that_would_fit_as_boxes(folder: Folder):
    def change(content):
        for annotation in content["annotations"]:
            annotation["bbox"] = [5, 5, 25, 20]
            annotation["segmentation"] = [[5, 5, 25, 5, 25, 20, 5, 20]]
            annotation["area"] = 12

    folder.coco(change=change)
    assert "corners" in folder.refusal()
