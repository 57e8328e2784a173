"""CreateML json."""

from __future__ import annotations

import pytest

from omnidet.data.annotated.config import ReadConfig
from tests.data.annotated import drawing
from tests.data.annotated.drawing import LOSSY, Folder, scenes


@pytest.mark.parametrize("style", ["Roboflow", "Apple"])
def test_createml(folder: Folder, style):
    for split, count in (("train", 8), ("valid", 4)):
        own = folder.pictures(scenes(count, prefix=split), split)
        content = drawing.createml(own)
        if style == "Apple":
            content = [
                {"imagefilename": f"pictures/{e['image']}", "annotation": e["annotations"]}
                for e in content
            ]
        folder.write(f"{split}/_annotations.createml.json", content)
    found = folder.read()
    assert found.format == "CreateML json"
    assert {split: len(own) for split, own in found.splits.items()} == {"train": 8, "val": 4}


def test_annotations_that_cannot_be_read_leave_their_name_unknown(folder: Folder):
    content = drawing.createml(folder.pictures(scenes(8)))
    del content[0]["annotations"][0]["coordinates"]["width"]
    del content[1]["annotations"][0]["label"]
    folder.write("a.json", content)
    found = folder.read(LOSSY)
    left = found.account.tallies["boxes"].left_out
    assert left["box that is not four numbers"].first == "a.json [0] annotations[0]"
    assert left["shape without a name"].count == 1


@pytest.mark.parametrize(("unit", "cause"), [("shares", "shares"), ("corner", "upper left corner")])
def test_another_unit_or_anchor_of_create_ml_is_refused(folder: Folder, unit, cause):
    content = drawing.createml(folder.pictures(scenes(40)))
    for entry in content:
        for box in entry["annotations"]:
            place = box["coordinates"]
            if unit == "corner":
                place["x"] -= place["width"] / 2
                place["y"] -= place["height"] / 2
            else:
                box["coordinates"] = {k: v / 96 for k, v in place.items()}
    folder.write("a.json", content)
    assert cause in folder.refusal()


def test_turned_photographs_need_a_word(folder: Folder):
    own = folder.pictures(scenes(6, ending=".jpg"), orientation=6)
    folder.write("a.json", drawing.createml(own))
    assert "--exif" in folder.refusal()
    assert folder.num_read(ReadConfig(exif="upright")) == 6


def test_a_damaged_file_is_named(folder: Folder):
    text = str(drawing.createml(folder.pictures(scenes(4)))).replace("'", '"')
    folder.write("a.json", text[: len(text) // 2])
    assert "a.json looks like CreateML json and is not JSON" in folder.refusal()
