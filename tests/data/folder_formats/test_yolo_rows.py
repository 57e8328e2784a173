"""What the numbers of a row mean, judged over all rows."""

from __future__ import annotations

import pytest

from tests.data.annotated import drawing
from tests.data.annotated.drawing import SIZE, Folder, scenes


@pytest.mark.parametrize("behind", ["0.87", "0.87 12", "0.4 0.4 2 0.5 0.5 1 0 0 0", "0.4 0.4 2"])
def test_numbers_behind_the_box(folder: Folder, behind):
    own = folder.pictures(scenes(8))
    for number, scene in enumerate(own):
        row = drawing.yolo(scene).strip()
        folder.write(f"{scene.stem}.txt", f"{row} {behind.replace('12', str(number + 2))}\n")
    folder.write("classes.txt", "cat\ndog\n")
    assert folder.num_read() == 8


def test_the_number_of_the_only_track_behind_a_confidence(folder: Folder):
    for number, scene in enumerate(folder.pictures(scenes(8))):
        row = drawing.yolo(scene).strip()
        folder.write(f"{scene.stem}.txt", f"{row} 0.{number + 80} 1\n")
    folder.write("classes.txt", "cat\ndog\n")
    assert folder.num_read() == 8


def test_two_numbers_behind_the_box_are_no_outline_of_three_points(folder: Folder):
    for number, scene in enumerate(folder.pictures(scenes(8))):
        row = drawing.yolo(scene).strip()
        folder.write(f"{scene.stem}.txt", f"{row} 0.{number + 10} 0.93\n")
    folder.write("classes.txt", "cat\ndog\n")
    for part in ("img_000.txt", "7 numbers", "three points"):
        assert part in folder.refusal()


@pytest.mark.parametrize("num_triangles", [2, 12])
def test_outlines_of_three_points(folder: Folder, num_triangles):
    for number, scene in enumerate(folder.pictures(scenes(12))):
        ((x, y, w, h),) = (thing.xywh for thing in scene.things)
        points = [(x, y), (x + w, y), (x + w / 2, y + h)]
        row = " ".join(f"{a / SIZE[0]} {b / SIZE[1]}" for a, b in points)
        kind = ("cat", "dog").index(scene.things[0].name)
        told = f"{kind} {row}\n" if number < num_triangles else drawing.yolo(scene)
        folder.write(f"{scene.stem}.txt", told)
    folder.write("classes.txt", "cat\ndog\n")
    assert folder.num_read() == 12


def test_a_row_that_lacks_a_number_is_not_a_box_without_a_confidence(folder: Folder):
    own = folder.pictures(scenes(12))
    for number, scene in enumerate(own):
        kind, cx, *rest = drawing.yolo(scene).split()
        words = [kind, *([cx] if number else []), *rest, "0.87"]
        folder.write(f"{scene.stem}.txt", " ".join(words) + "\n")
    folder.write("classes.txt", "cat\ndog\n")
    assert folder.num_read() == 11


def test_keypoints_need_their_shape(folder: Folder):
    own = folder.pictures(scenes(8))
    for scene in own:
        row = drawing.yolo(scene).strip()
        cx, cy = row.split()[1:3]
        folder.write(f"{scene.stem}.txt", f"{row} {cx} {cy} 0 0\n")
    folder.write("data.yaml", "names: [cat, dog]")
    assert "kpt_shape" in folder.refusal()
    folder.write("data.yaml", "names: [cat, dog]\nkpt_shape: [2, 2]")
    assert folder.num_read() == 8


@pytest.mark.parametrize("flag", ["", " 0.8"])
def test_keypoints_of_which_some_lie_outside_of_their_box_are_no_outlines(folder: Folder, flag):
    for number, scene in enumerate(folder.pictures(scenes(24))):
        row = drawing.yolo(scene).strip()
        cx, cy, width, _ = map(float, row.split()[1:])
        out = cx + (0.8 if number % 6 == 0 else 0.3) * width
        folder.write(f"{scene.stem}.txt", f"{row} {cx} {cy}{flag} {out} {cy}{flag}\n")
    folder.write("data.yaml", "names: [cat, dog]")
    dims = 3 if flag else 2
    assert f"`kpt_shape: [number of points, {dims}]`" in folder.refusal()
    folder.write("data.yaml", f"names: [cat, dog]\nkpt_shape: [2, {dims}]")
    assert folder.num_read() == 24


@pytest.mark.parametrize("num_points", [4, 5, 6, 8])
def test_outlines_of_one_length_are_outlines(folder: Folder, num_points):
    for scene in folder.pictures(scenes(24, per_picture=2)):
        rows = []
        for thing in scene.things:
            x, y, w, h = thing.xywh
            sides = [(x, y), (x + w, y), (x + w, y + h), (x, y + h)]
            points = [*sides, *[(x, y + h / 2)] * (num_points - 4)]
            shares = " ".join(f"{a / SIZE[0]} {b / SIZE[1]}" for a, b in points)
            rows.append(f"{('cat', 'dog').index(thing.name)} {shares}\n")
        folder.write(f"{scene.stem}.txt", "".join(rows))
    folder.write("classes.txt", "cat\ndog\n")
    assert folder.num_read() == 48


def test_an_angle_is_not_a_confidence(folder: Folder):
    own = folder.pictures(scenes(8))
    for scene in own:
        folder.write(f"{scene.stem}.txt", f"{drawing.yolo(scene).strip()} -1.2\n")
    folder.write("classes.txt", "cat\ndog\n")
    assert "boxes with an angle are not read" in folder.refusal()


@pytest.mark.parametrize("corners", [4, 5])
def test_outlines_and_oriented_boxes(folder: Folder, corners):
    own = folder.pictures(scenes(8))
    for scene in own:
        ((x, y, w, h),) = (thing.xywh for thing in scene.things)
        points = [(x, y), (x + w, y), (x + w, y + h), (x, y + h), (x, y + h / 2)][:corners]
        row = " ".join(f"{a / SIZE[0]} {b / SIZE[1]}" for a, b in points)
        kind = ("cat", "dog").index(scene.things[0].name)
        folder.write(f"{scene.stem}.txt", f"{kind} {row}\n")
    folder.write("classes.txt", "cat\ndog\n")
    assert folder.num_read() == 8


def test_decimal_commas(folder: Folder):
    for scene in folder.pictures(scenes(8)):
        folder.write(f"{scene.stem}.txt", drawing.yolo(scene).replace(".", ","))
    folder.write("classes.txt", "cat\ndog\n")
    assert folder.num_read() == 8


def test_a_track_without_a_confidence_is_named(folder: Folder):
    for number, scene in enumerate(folder.pictures(scenes(8))):
        folder.write(f"{scene.stem}.txt", drawing.yolo(scene).replace("\n", f" {number + 5}\n"))
    folder.write("classes.txt", "cat\ndog\n")
    assert "numbers tracks" in folder.refusal()
