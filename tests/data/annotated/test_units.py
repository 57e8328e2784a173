"""Boxes in another unit than their format wants."""

from __future__ import annotations

from pathlib import Path

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


def test_outlines_tell_corners_that_would_fit_as_boxes(folder: Folder):
    def change(content):
        for annotation in content["annotations"]:
            annotation["bbox"] = [5, 5, 25, 20]
            annotation["segmentation"] = [[5, 5, 25, 5, 25, 20, 5, 20]]
            annotation["area"] = 12

    folder.coco(change=change)
    assert "corners" in folder.refusal()


def test_a_few_boxes_that_only_another_layout_keeps_inside_are_said():
    def drawn(x: float, y: float) -> units.Drawn:  # written: the centre of a box of 20 x 20
        return units.Drawn((x, y, x + 20, y + 20), (100, 100), None, None, f"at {x}")

    inside = [drawn(10 + 5 * i, 60 - 5 * i) for i in range(11)]
    assert units.doubt(inside, "xywh", False) == ""
    said = units.doubt([*inside, drawn(88, 50)], "xywh", False)
    for part in ("1 of 12 boxes", "the centre, width and height", "at 88"):
        assert part in said
    assert units.doubt([*inside, drawn(88, 50), drawn(95, 50)], "xywh", False) == ""
    assert units.doubt([drawn(88, 50)], "xywh", False) == ""


@pytest.mark.parametrize(("num_off", "is_refused"), [(1, False), (4, True)])
def test_boxes_that_lie_elsewhere_than_their_outlines(folder: Folder, num_off, is_refused):
    content = drawing.coco(folder.pictures(scenes(20)))
    for number, annotation in enumerate(content["annotations"]):
        x, y, w, h = annotation["bbox"]
        annotation["segmentation"] = [[x, y, x + w, y, x + w, y + h, x, y + h]]
        if number < num_off:
            annotation["bbox"] = [1, 1, 4, 4]
    folder.write("a.json", content)
    if is_refused:
        assert "elsewhere than their outlines" in folder.refusal()
    else:
        assert sum(len(p.boxes) for p in read(folder.root).pictures()) == 20


def test_outlines_of_what_is_seen_of_a_thing(folder: Folder):
    """The box frames what something hides as well."""
    content = drawing.coco(folder.pictures(scenes(20)))
    for annotation in content["annotations"]:
        x, y, w, h = annotation["bbox"]
        seen = 0.3 * h
        annotation["segmentation"] = [[x, y, x + w, y, x + w, y + seen, x, y + seen]]
        annotation["area"] = w * seen
    folder.write("a.json", content)
    assert folder.num_read() == 20


def test_one_file_in_another_layout_is_refused(folder: Folder):
    for part, count in (("train", 60), ("val", 12)):
        content = drawing.coco(folder.pictures(scenes(count, prefix=part), "images"))
        for annotation in content["annotations"] if part == "val" else ():
            x, y, w, h = annotation["bbox"]
            annotation |= {"bbox": [x, y, x + w, y + h]}
        folder.write(f"{part}.json", content)
    said = folder.refusal()
    assert "val.json: 12 of 12 boxes" in said
    assert "corners" in said


def test_some_labels_with_corners_are_said(folder: Folder):
    for number, scene in enumerate(folder.pictures(scenes(60))):
        x, y, w, h = scene.things[0].xywh
        row = f"0 {x / 96} {y / 64} {(x + w) / 96} {(y + h) / 64}\n"
        folder.write(f"{scene.stem}.txt", row if number < 8 else drawing.yolo(scene))
    folder.write("classes.txt", "cat\ndog\n")
    (note,) = (n for n in read(folder.root).account.notes if "stick out" in n)
    assert "if the four numbers were the corners" in note


def _in_hundredths(scene: Scene, whole: float) -> list[tuple[str, list[float]]]:
    """The boxes of a scene in a unit in which every picture is `whole` wide and high."""
    sides = (*scene.size, *scene.size)
    return [
        (t.name, [whole * v / side for v, side in zip(t.xywh, sides, strict=True)])
        for t in scene.things
    ]


def _large(count: int, size: tuple[int, int]) -> list[Scene]:
    small = scenes(count, per_picture=3)
    by = size[0] / small[0].size[0], size[1] / small[0].size[1]
    return [
        Scene(
            s.file,
            [Thing(t.name, tuple(v * by[i % 2] for i, v in enumerate(t.xywh))) for t in s.things],
            size,
        )
        for s in small
    ]


@pytest.mark.parametrize(
    ("whole", "size", "cause"),
    [(100, (640, 480), "percent"), (1000, (2400, 2000), "thousandths")],
)
@pytest.mark.parametrize("kind", ["coco", "voc", "csv"])
def test_a_unit_that_large_pictures_hold_in_a_corner(folder: Folder, whole, size, cause, kind):
    own = folder.pictures(_large(6, size))
    lines = ["filename,class,xmin,ymin,xmax,ymax"]
    told = []
    for scene in own:
        things = [Thing(name, tuple(box)) for name, box in _in_hundredths(scene, whole)]
        told.append(Scene(scene.file, things, size))
        for name, (x, y, w, h) in _in_hundredths(scene, whole):
            lines.append(f"{scene.file},{name},{x},{y},{x + w},{y + h}")
        if kind == "voc":
            folder.write(f"{scene.stem}.xml", drawing.voc(told[-1]))
    if kind == "coco":
        folder.write("a.json", drawing.coco(told))
    if kind == "csv":
        folder.write("boxes.csv", "\n".join(lines))
    assert cause in folder.refusal()


def _alone(boxes: list[tuple[float, float, float, float]]) -> list[units.Drawn]:
    return [
        units.Drawn(box, (640, 480), None, None, "", Path(f"{place}.png"))
        for place, box in enumerate(boxes)
    ]


def test_what_is_always_in_one_place_of_large_pictures_is_in_no_other_unit():
    logo = _alone([(5 + n, 6, 90 + n, 95) for n in range(10)])
    units.check(logo, "xyxy", False, "", "")
    things = _alone([(8 * n, 9 * (9 - n), 8 * n + 20, 9 * (9 - n) + 18) for n in range(10)])
    with pytest.raises(ValueError, match=r"10 of 10 boxes .* percent"):
        units.check(things, "xyxy", False, "", "")
