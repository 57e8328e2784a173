"""VGG Image Annotator."""

from __future__ import annotations

import json
import math

import pytest

from omnidet.data.annotated.read import read
from tests.data.annotated import drawing
from tests.data.annotated.drawing import LOSSY, Folder, Scene, Thing, scenes


def _csv(content) -> str:
    lines = ["#filename,file_size,region_count,region_id,region_shape_attributes,region_attributes"]
    for entry in content.values():
        for place, region in enumerate(entry["regions"] or [{}]):
            cells = [
                '"' + json.dumps(region.get(key, {})).replace('"', '""') + '"'
                for key in ("shape_attributes", "region_attributes")
            ]
            lines.append(f"{entry['filename']},1,{len(entry['regions'])},{place},{','.join(cells)}")
    return "\n".join(lines)


@pytest.mark.parametrize("style", ["json", "project", "version 1", "csv"])
@pytest.mark.parametrize("attribute", ["label", "Class", "thing"])
def test_via(folder: Folder, style, attribute):
    own = folder.pictures([*scenes(8), Scene("not_yet.png", [Thing("cat", (5, 5, 20, 20))])])
    own[-1].things = []
    content = drawing.via(own, attribute)
    if style == "version 1":
        for entry in content.values():
            entry["regions"] = {str(i): region for i, region in enumerate(entry["regions"])}
    if style == "csv":
        folder.write("via.csv", _csv(content))
    else:
        project = {"_via_settings": {}, "_via_img_metadata": content, "_via_attributes": {}}
        folder.write("via.json", project if style == "project" else content)
    found = folder.read()
    assert sum(len(p.boxes) for p in found.pictures()) == 8
    left = found.account.tallies["annotations"].left_out
    assert left["picture without a region"].count == 1


def test_an_attribute_of_words_is_taken_before_one_of_numbers(folder: Folder):
    content = drawing.via(folder.pictures(scenes(8)), "class")
    for place, entry in enumerate(content.values()):
        entry["regions"][0]["region_attributes"]["label"] = str(place % 2)
    folder.write("via.json", content)
    found = folder.read()
    assert set(found.names) == {"cat", "dog"}
    assert "names from the attribute 'class'" in found.account.notes


def test_shapes_of_via(folder: Folder):
    own = folder.pictures(scenes(8))
    content = drawing.via(own)
    regions = [entry["regions"][0] for entry in content.values()]
    shapes = [region["shape_attributes"] for region in regions]
    for kind, shape in zip(("polygon", "ellipse", "turned"), shapes, strict=False):
        x, y, w, h = (shape.pop(k) for k in ("x", "y", "width", "height"))
        if kind == "polygon":
            points = {"all_points_x": [x, x + w, x], "all_points_y": [y, y, y + h]}
            shape |= {"name": "polygon", **points}
        else:
            radii = {"rx": w / 2, "ry": h / 2} if kind == "ellipse" else {"rx": h / 2, "ry": w / 2}
            angle = 0 if kind == "ellipse" else math.pi / 2
            shape |= {"name": "ellipse", "cx": x + w / 2, "cy": y + h / 2, **radii, "theta": angle}
    shapes[3]["name"] = "point"
    regions[4]["region_attributes"] = {"label": {"cat": True, "dog": False}}
    regions[5]["region_attributes"] = {"label": {"cat": True, "dog": True}}
    folder.write("via.json", content)
    found = folder.read(LOSSY)
    assert sum(len(p.boxes) for p in found.pictures()) == 6
    left = found.account.tallies["boxes"].left_out
    assert left["shape that frames nothing: point, line or tag"].count == 1
    assert left["shape without a name"].count == 1


def test_attributes_that_may_all_be_the_name_are_refused(folder: Folder):
    content = drawing.via(folder.pictures(scenes(4)), "thing")
    for entry in content.values():
        entry["regions"][0]["region_attributes"]["colour"] = "red"
    folder.write("via.json", content)
    assert "'colour', 'thing'" in folder.refusal()
    for entry in content.values():
        named = entry["regions"][0]["region_attributes"]
        named["label"] = named.pop("thing")
    folder.write("via.json", content)
    assert folder.num_read() == 4


def _numbered_project(folder: Folder, options: dict[str, str]) -> None:
    own = folder.pictures(scenes(6))
    content = drawing.via(own)
    for entry in content.values():
        for region in entry["regions"]:
            name = region["region_attributes"]["label"]
            region["region_attributes"] = {"label": str(("cat", "dog").index(name) + 1)}
    region = {"label": {"type": "dropdown", "options": options}}
    project = {"_via_img_metadata": content, "_via_attributes": {"region": region}}
    folder.write("via.json", project)


def test_options_of_a_project_that_are_called_by_numbers(folder: Folder):
    _numbered_project(folder, {"1": "cat", "2": "dog"})
    assert folder.num_read() == 6
    assert set(folder.read().names) == {"cat", "dog"}


def test_options_without_a_description_are_their_own_names(folder: Folder):
    _numbered_project(folder, {"1": "", "2": ""})
    assert set(read(folder.root).names) == {"1", "2"}
