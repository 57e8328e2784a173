"""LabelMe json."""

from __future__ import annotations

import pytest

from omnidet.data.annotated.read import read
from tests.data.annotated import drawing
from tests.data.annotated.drawing import LOSSY, Folder, Scene, scenes


@pytest.mark.parametrize("kind", ["rectangle", "polygon"])
@pytest.mark.parametrize("spelled", [None, "..\\images\\{}", "old.png"])
def test_labelme(folder: Folder, kind, spelled):
    for scene in folder.pictures(scenes(8), "images"):
        name = spelled.format(scene.file) if spelled else None
        folder.write(f"labels/{scene.stem}.json", drawing.labelme(scene, name, kind))
    found = folder.read()
    assert found.format == "LabelMe json"
    assert sum(len(p.boxes) for p in found.pictures()) == 8


def test_a_picture_that_is_in_its_json_alone(folder: Folder):
    for scene in scenes(4):
        content = {**drawing.labelme(scene), "imageData": "aGVsbG8="}
        folder.write(f"{scene.stem}.json", content)
    assert "only in the imageData of its json" in folder.refusal()


def _halves(scene: Scene, kind: str, group: object) -> list[dict[str, object]]:
    """The left and the right part of each thing, with a gap between them."""
    shapes = []
    for number, thing in enumerate(scene.things):
        x, y, w, h = thing.xywh
        for x0, x1 in ((x, x + w / 3), (x + w / 2, x + w)):
            points = [[x0, y], [x1, y], [x1, y + h], [x0, y + h]]
            points = points[::2] if kind in ("mask", "rectangle") else points
            own = None if group is None else f"{group}{number}"
            shapes.append(
                {"label": thing.name, "points": points, "shape_type": kind, "group_id": own}
            )
    return shapes


@pytest.mark.parametrize("kind", ["polygon", "mask"])
def test_outlines_of_one_group_are_parts_of_one_thing(folder: Folder, kind):
    for scene in folder.pictures(scenes(8, names=["cat"], per_picture=2)):
        shapes = _halves(scene, kind, 1)
        folder.write(f"{scene.stem}.json", {**drawing.labelme(scene), "shapes": shapes})
    assert folder.num_read() == 16
    assert any("16 outlines joined" in note for note in folder.read().account.notes)


def test_a_group_that_is_the_same_for_all_joins_nothing(folder: Folder):
    for scene in folder.pictures(scenes(6, names=["cat"], per_picture=2)):
        content = drawing.labelme(scene, kind="polygon")
        for shape in content["shapes"]:
            shape["group_id"] = 0
        folder.write(f"{scene.stem}.json", content)
    assert folder.num_read() == 12


@pytest.mark.parametrize(("kind", "group"), [("rectangle", 1), ("polygon", None)])
def test_boxes_and_outlines_without_a_group_stay_apart(folder: Folder, kind, group):
    for scene in folder.pictures(scenes(4)):
        shapes = _halves(scene, kind, group)
        folder.write(f"{scene.stem}.json", {**drawing.labelme(scene), "shapes": shapes})
    boxes = [box for picture in read(folder.root).pictures() for box in picture.boxes]
    assert len(boxes) == 8


def test_landmarks_beside_boxes_are_no_boxes_that_are_lost(folder: Folder):
    for scene in folder.pictures(scenes(8)):
        content = drawing.labelme(scene)
        for name in ("nose", "left eye", "right eye"):
            content["shapes"].append({"label": name, "points": [[9, 9]], "shape_type": "point"})
        folder.write(f"{scene.stem}.json", content)
    assert folder.num_read() == 8
    found = folder.read()
    assert found.names == ("cat", "dog")
    assert any("'nose'" in note for note in found.account.notes)


def test_points_and_lines_of_a_name_that_has_boxes_are_lost_boxes(folder: Folder):
    for number, scene in enumerate(folder.pictures(scenes(8))):
        content = drawing.labelme(scene)
        if number % 4 == 0:
            content["shapes"][0] |= {"points": [[9, 9], [20, 20]], "shape_type": "line"}
        folder.write(f"{scene.stem}.json", content)
    assert "2 of 8 boxes cannot be used" in folder.refusal()
    assert folder.num_read(LOSSY) == 6


def test_shapes_whose_box_is_not_read_are_lost_boxes(folder: Folder):
    for scene in folder.pictures(scenes(8)):
        content = drawing.labelme(scene)
        corners = [[4, 4], [9, 4], [9, 9], [4, 9]] * 2
        content["shapes"].append({"label": "van", "points": corners, "shape_type": "cuboid"})
        folder.write(f"{scene.stem}.json", content)
    assert "cuboid" in folder.refusal()


def test_four_corners_of_a_quadrilateral(folder: Folder):
    for scene in folder.pictures(scenes(4)):
        content = drawing.labelme(scene, kind="polygon")
        for shape in content["shapes"]:
            shape["shape_type"] = "quadrilateral"
        folder.write(f"{scene.stem}.json", content)
    assert folder.num_read() == 4
