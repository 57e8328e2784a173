"""Pascal VOC as tools and people write it."""

from __future__ import annotations

import pytest

from tests.data.annotated import drawing
from tests.data.annotated.drawing import LOSSY, Folder, Scene, Thing, scenes


@pytest.mark.parametrize(
    "style", ["{stem}", "{stem} ", "{file}", "JPEGImages/{file} x.xml", "{stem}  1"]
)
def test_lists_of_voc(folder: Folder, style):
    own = folder.pictures(scenes(12, prefix="shot 2020-12-16 16.42."), "JPEGImages")
    for scene in own:
        folder.write(f"Annotations/{scene.stem}.xml", drawing.voc(scene))
    if " x.xml" in style:
        own = folder.pictures(scenes(12, prefix="shot"), "JPEGImages")
        for scene in own:
            folder.write(f"Annotations/{scene.stem}.xml", drawing.voc(scene))
    for split, part in (("train", own[:8]), ("test", own[8:])):
        lines = [style.format(stem=s.stem, file=s.file) for s in part]
        folder.write(f"ImageSets/Main/{split}.txt", "\n".join(lines) + "\n")
    folder.write("ImageSets/Main/cat_train.txt", "\n".join(f"{s.stem} 1" for s in own))
    found = folder.read()
    counts = {split: len(p) for split, p in found.splits.items()}
    assert (counts["train"], counts["test"]) == (8, 4)


def test_odd_voc(folder: Folder):
    own = folder.pictures(scenes(6), "deep/er")
    for number, scene in enumerate(own):
        x, y, w, h = scene.things[0].xywh
        x0, x1 = (x + w, x + 1) if number == 3 else (x + 1, x + w)
        corners = "<xmin>1</xmin><ymin>1</ymin><xmax>5</xmax><ymax>5</ymax>"
        part = f"<part><name>head</name><bndbox>{corners}</bndbox></part>"
        box = f"<xmax>{x1}.0</xmax><xmin> {x0} </xmin><ymin>{y + 1}</ymin><ymax>{y + h}</ymax>"
        folder.write(
            f"deep/er/{scene.stem}.xml",
            f"<annotation><filename>{scene.stem}</filename><object><name>{scene.things[0].name}</name>{part}"
            f"<bndbox>{box}</bndbox></object></annotation>",
        )
    assert folder.num_read() == 6


def test_polygons_of_voc(folder: Folder):
    for number, scene in enumerate(folder.pictures(scenes(6))):
        x, y, w, h = scene.things[0].xywh
        points = [(x + 1, y + 1), (x + w + 1, y + 1), (x + w + 1, y + h + 1), (x + 1, y + h + 1)]
        if number % 2:
            inner = "".join(
                f"<x{i}>{a}</x{i}><y{i}>{b}</y{i}>" for i, (a, b) in enumerate(points, 1)
            )
        else:
            inner = "".join(f"<pt><x>{a}</x><y>{b}</y></pt>" for a, b in points)
        gone = "<object><name>dog</name><deleted>1</deleted></object>"
        folder.write(
            f"{scene.stem}.xml",
            f"<annotation><object><name>{scene.things[0].name}</name><polygon>{inner}</polygon></object>{gone}"
            "</annotation>",
        )
    assert folder.num_read() == 6


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "gbk", "latin-1"])
def test_encodings_of_xml(folder: Folder, encoding):
    for scene in folder.pictures(scenes(6)):
        name = {"utf-8-sig": "utf-8"}.get(encoding, encoding)
        text = f'<?xml version="1.0" encoding="{name}"?>' + drawing.voc(scene)
        folder.write(f"{scene.stem}.xml", text.encode(encoding))
    assert folder.num_read() == 6


def test_a_damaged_xml_counts_its_boxes(folder: Folder):
    own = folder.pictures(scenes(6, per_picture=2))
    for scene in own:
        folder.write(f"{scene.stem}.xml", drawing.voc(scene))
    folder.write(f"{own[0].stem}.xml", drawing.voc(own[0]).replace("</annotation>", ""))
    said = folder.refusal()
    assert "2 of 12 boxes cannot be used" in said
    assert "img_000.xml" in said
    assert sum(len(p.boxes) for p in folder.read(LOSSY).pictures()) == 10


def test_an_empty_text_makes_no_yolo_of_a_voc_folder(folder: Folder):
    for scene in folder.pictures(scenes(6)):
        folder.write(f"{scene.stem}.xml", drawing.voc(scene))
    folder.write("img_000.txt", "")
    folder.write("README.txt", "Pictures of 2020\n")
    assert folder.read().format == "Pascal VOC xml"


def test_a_split_outlives_a_damaged_file_with_a_copy_beside(folder: Folder):
    for split, count in (("train", 8), ("test", 4)):
        own = folder.pictures(scenes(count, prefix=split[:2]), split)
        for scene in own:
            folder.write(f"{split}/{scene.stem}.xml", drawing.voc(scene))
        listed = "".join(f"{scene.stem}\n" for scene in own)
        folder.write(f"ImageSets/Main/{split}.txt", listed)
    whole = (folder.root / "train/tr000.xml").read_text()
    folder.write("train/tr000 (copy).xml", whole)
    folder.write("train/tr000.xml", whole[: len(whole) * 2 // 3])
    found = folder.read()
    assert {split: len(own) for split, own in found.splits.items()} == {"train": 8, "test": 4}


def test_what_no_list_names_is_in_the_split_of_its_folder(folder: Folder):
    for split in ("train", "val"):
        for scene in folder.pictures(scenes(4, prefix=split[:2]), split):
            folder.write(f"{split}/{scene.stem}.xml", drawing.voc(scene))
    folder.write("ImageSets/Main/train.txt", "tr000\ntr001\n")
    found = folder.read()
    assert {split: len(own) for split, own in found.splits.items()} == {"train": 4, "val": 4}


def test_a_box_that_cvat_turned_is_the_box_around(folder: Folder):
    """Written unturned, with the angle among the attributes."""
    for scene in folder.pictures(scenes(8)):
        (thing,) = scene.things
        x, y, w, h = thing.xywh
        upright = Thing(thing.name, (x + w / 2 - h / 2, y + h / 2 - w / 2, h, w))
        angle = "<attribute><name>rotation</name><value>90.0</value></attribute></object>"
        text = drawing.voc(Scene(scene.file, [upright]))
        folder.write(f"{scene.stem}.xml", text.replace("</object>", angle))
    assert folder.num_read() == 8


def test_several_boxes_of_one_object(folder: Folder):
    things = [Thing("cat", (4, 4, 20, 18)), Thing("cat", (60, 30, 24, 20))]
    for scene in folder.pictures([*scenes(6), Scene("two.png", things)]):
        content = drawing.voc(scene)
        if scene.file == "two.png":
            content = content.replace("</object><object><name>cat</name>", "")
        folder.write(f"{scene.stem}.xml", content)
    assert folder.num_read() == 8


@pytest.mark.parametrize("angle", [0.0, 1.570796, 3.141593])
def test_turned_boxes_of_rolabelimg(folder: Folder, angle):
    for scene in folder.pictures(scenes(6)):
        ((x, y, w, h),) = (thing.xywh for thing in scene.things)
        across, down = (h, w) if angle == 1.570796 else (w, h)
        fields = {"cx": x + w / 2, "cy": y + h / 2, "w": across, "h": down, "angle": angle}
        box = "".join(f"<{name}>{value}</{name}>" for name, value in fields.items())
        content = drawing.voc(scene)
        begin, end = content.index("<bndbox>"), content.index("</bndbox>") + len("</bndbox>")
        turned = f"<robndbox>{box}</robndbox>"
        folder.write(f"{scene.stem}.xml", content[:begin] + turned + content[end:])
    assert folder.num_read() == 6
