"""Tables of boxes, a row a box."""

from __future__ import annotations

import pytest

from omnidet.data.annotated.config import ReadConfig
from omnidet.data.annotated.read import read
from tests.data.annotated import drawing
from tests.data.annotated.drawing import LOSSY, Folder, Scene, Thing, scenes


def test_tables_of_tensorflow_in_the_folders_of_their_split(folder: Folder):
    for split, count in (("train", 8), ("valid", 4)):
        own = folder.pictures(scenes(count, prefix=split), split)
        folder.write(f"{split}/_annotations.csv", drawing.table(own))
    found = folder.read()
    assert {split: len(own) for split, own in found.splits.items()} == {"train": 8, "val": 4}


@pytest.mark.parametrize("mark", [",", ";", "\t"])
@pytest.mark.parametrize(
    "head",
    [
        "Image Path,w0,h0,Label,x1,y1,x2,y2",
        "image_id,image_width,image_height,class_name,X_Min,Y_Min,X_Max,Y_Max",
        "file,width,height,category,left,top,right,bottom",
    ],
)
def test_columns_by_their_usual_names(folder: Folder, head, mark):
    own = folder.pictures(scenes(6))
    text = drawing.table(own).split("\n", 1)[1]
    folder.write("boxes.csv", "\ufeff" + f"{head}\r\n{text}".replace(",", mark))
    assert folder.num_read() == 6


def test_shares_and_a_column_with_the_split(folder: Folder):
    own = folder.pictures(scenes(8))
    lines = drawing.table(own, is_in_shares=True).splitlines()
    splits = ["split", *["train"] * 6, *["Validation"] * 2]
    rows = [f"{line},{split}\n" for line, split in zip(lines, splits, strict=True)]
    folder.write("boxes.csv", "".join(rows))
    found = folder.read()
    assert {split: len(members) for split, members in found.splits.items()} == {
        "train": 6,
        "val": 2,
    }
    assert any("shares" in note for note in found.account.notes)


def _with_columns(folder: Folder, title: str, cells) -> None:
    """Six pictures, and a column behind the others."""
    lines = drawing.table(folder.pictures(scenes(6))).splitlines()
    rows = [f"{line},{cell}\n" for line, cell in zip(lines, [title, *cells], strict=True)]
    folder.write("boxes.csv", "".join(rows))


def test_a_misspelled_split_is_refused(folder: Folder):
    _with_columns(folder, "split", ["train"] * 4 + ["tets"] * 2)
    said = folder.refusal()
    for part in ("boxes.csv, line 6", "'tets'", "'split'", "train, "):
        assert part in said


def test_a_column_of_sources_is_no_split(folder: Folder):
    _with_columns(folder, "dataset", ["factory"] * 3 + ["lab"] * 3)
    found = folder.read()
    assert set(found.splits) == {""}
    assert any("'dataset' says no split" in note for note in found.account.notes)


def test_a_column_of_words_is_taken_before_one_of_numbers(folder: Folder):
    _with_columns(folder, "label", [0, 1, 0, 1, 0, ""])
    head, rest = (folder.root / "boxes.csv").read_text().split("\n", 1)
    for name, number in (("class_name", "label"), ("name", "class")):
        changed = head.replace(",class,", f",{name},").replace(",label", f",{number}")
        folder.write("boxes.csv", f"{changed}\n{rest}")
        found = folder.read()
        assert set(found.names) == {"cat", "dog"}
        (note,) = (n for n in found.account.notes if "names from the column" in n)
        assert f"{name!r}, not from {number!r}" in note


def test_names_that_are_numbers_are_said(folder: Folder):
    own = scenes(6, ("0", "1"))
    folder.write("boxes.csv", drawing.table(folder.pictures(own)))
    (note,) = (n for n in folder.read().account.notes if "holds numbers" in n)
    assert "'class'" in note


def test_a_table_without_a_head(folder: Folder):
    own = [*scenes(6), Scene("empty.png", [])]
    text = ""
    for scene in folder.pictures(own, "images"):
        for thing in scene.things:
            x, y, w, h = thing.xywh
            text += f"images/{scene.file},{x},{y},{x + w},{y + h},{thing.name}\n"
        text += "" if scene.things else f"images/{scene.file},,,,,\n"
    folder.write("annotations.csv", text)
    folder.write("classes.csv", "cat,0\ndog,1\n")
    found = folder.read()
    assert sum(len(p.boxes) for p in found.pictures()) == 6
    (empty,) = (p for p in found.pictures() if not p.boxes)
    assert empty.unknown == frozenset()


@pytest.mark.parametrize("has_head", [True, False])
def test_make_sense(folder: Folder, has_head):
    lines = ["label_name,bbox_x,bbox_y,bbox_width,bbox_height,image_name,image_width,image_height"]
    for scene in folder.pictures(scenes(6, per_picture=2), "images"):
        for thing in scene.things:
            box = ",".join(f"{value:g}" for value in thing.xywh)
            lines.append(f"{thing.name},{box},{scene.file},{scene.size[0]},{scene.size[1]}")
    folder.write("labels_my-project.csv", "\n".join(lines[not has_head :]))
    assert folder.num_read() == 12


def test_open_images(folder: Folder):
    """Names by their marks; a name without a row was not looked for."""
    own = folder.pictures(scenes(6), "train")
    lines = ["ImageID,Source,LabelName,Confidence,XMin,XMax,YMin,YMax,IsOccluded,IsGroupOf"]
    for place, scene in enumerate(own):
        for thing in scene.things:
            (x, y, w, h), mark = thing.xywh, f"/m/0{thing.name}"
            sides = f"{x / 96},{(x + w) / 96},{y / 64},{(y + h) / 64}"
            lines.append(f"{scene.stem},xclick,{mark},1,{sides},0,{int(place == 0)}")
    folder.write("train-annotations-bbox.csv", "\n".join(lines))
    folder.write("class-descriptions-boxable.csv", "/m/0cat,cat\n/m/0dog,dog\n")
    found = folder.read()
    assert found.names == ("cat", "dog")
    pictures = found.splits["train"]
    assert sum(box.is_crowd for p in pictures for box in p.boxes) == 1
    assert all(p.unknown == {"cat", "dog"} - {p.boxes[0].name} for p in pictures)


def test_marks_of_open_images_that_nothing_describes_are_refused(folder: Folder):
    lines = ["ImageID,LabelName,XMin,XMax,YMin,YMax"]
    for scene in folder.pictures(scenes(4)):
        ((x, y, w, h),) = (thing.xywh for thing in scene.things)
        sides = f"{x / 96},{(x + w) / 96},{y / 64},{(y + h) / 64}"
        lines.append(f"{scene.stem},/m/01yrx,{sides}")
    folder.write("boxes.csv", "\n".join(lines))
    said = folder.refusal()
    for part in ("boxes.csv", "'/m/01yrx'", "class-descriptions-boxable.csv"):
        assert part in said
    folder.write("class-descriptions-boxable.csv", "/m/01yrx,cat\n")
    assert read(folder.root).names == ("cat",)


def test_rows_that_cannot_be_read(folder: Folder):
    own = folder.pictures(scenes(8))
    lines = drawing.table(own).splitlines()
    lines[1] = lines[1].rsplit(",", 1)[0] + ",abc"
    lines[2] = lines[2].replace(",dog,", ",,")
    folder.write("boxes.csv", "\n".join(lines))
    found = folder.read(LOSSY)
    left = found.account.tallies["boxes"].left_out
    assert left["box that is not four numbers"].first == "boxes.csv line 2"
    assert left["shape without a name"].count == 1
    unknown = {p.path.name: p.unknown for p in found.pictures()}
    assert "cat" in unknown["img_000.png"]
    assert "img_001.png" not in unknown  # nothing is known of it


@pytest.mark.parametrize("columns", ["x,y,width,height", "bbox", "x,y,w,h"])
def test_what_may_begin_at_the_corner_or_the_centre_is_refused(folder: Folder, columns):
    folder.pictures(scenes(4))
    folder.write("boxes.csv", f"filename,class,bbox_or,{columns}\nimg_000.png,cat,1,2,3,4\n")
    said = folder.refusal()
    for part in ("boxes.csv", "at the corner or the centre", "xmin, ymin, xmax, ymax"):
        assert part in said


@pytest.mark.parametrize("columns", ["x,y,w,h", "cx,cy,w,h", "x_center,y_center,width,height"])
def test_a_table_without_corners_is_named_by_its_columns_alone(folder: Folder, columns):
    folder.pictures(scenes(4))
    folder.write("boxes.csv", f"filename,class,{columns}\nimg_000.png,cat,1,2,3,4\n")
    assert "xmin, ymin, xmax, ymax" in folder.refusal()


def test_decimal_commas_are_named(folder: Folder):
    """Whether 1,234 is more than a thousand is not for a reader to say."""
    text = drawing.table(folder.pictures(scenes(6))).replace(",", ";").replace(".0", ",0")
    folder.write("boxes.csv", text)
    assert "12,5 for 12.5" in folder.refusal()


def test_a_row_with_more_cells_than_columns_is_not_read(folder: Folder):
    """Decimal commas between commas: what stands under a title may be half a number."""
    text = drawing.table(folder.pictures(scenes(6)))
    folder.write("boxes.csv", text.replace(".0", ",0"))
    assert "more cells than columns" in folder.refusal()
    lines = text.splitlines()
    lines[1] = lines[1].replace(",cat,", ",cat, red,")
    folder.write("boxes.csv", "\n".join([*lines[:2], *(f"{line},," for line in lines[2:])]))
    found = folder.read(LOSSY)
    left = found.account.tallies["boxes"].left_out
    assert [(out.count, out.first) for out in left.values()] == [(1, "boxes.csv line 2")]


def test_width_and_height_in_place_of_corners_are_refused(folder: Folder):
    own = folder.pictures(scenes(12))
    lines = ["filename,class,xmin,ymin,xmax,ymax"]
    for scene in own:
        lines += [f"{scene.file},{t.name},{','.join(map(str, t.xywh))}" for t in scene.things]
    folder.write("boxes.csv", "\n".join(lines))
    assert "end before they begin" in folder.refusal()


def test_the_declared_size_says_which_way_photographs_were_drawn_on(folder: Folder):
    own = folder.pictures(scenes(6, ending=".jpg"), orientation=6)
    folder.write("boxes.csv", drawing.table(own))
    assert folder.num_read() == 6


def test_a_table_is_second_to_other_annotations(folder: Folder):
    own = folder.pictures([Scene("a.png", [Thing("cat", (5, 5, 20, 20))]), *scenes(4)])
    folder.write("a.json", drawing.coco(own))
    folder.write("boxes.csv", drawing.table(own[:2]))
    found = folder.read()
    assert found.format == "COCO json"
    assert any("--format csv" in note for note in found.account.notes)
    assert folder.num_read(ReadConfig(format="csv")) == 2


def test_the_line_that_tells_spreadsheets_the_mark_is_no_head(folder: Folder):
    own = folder.pictures(scenes(6))
    text = drawing.table(own).replace(",", ";")
    folder.write("boxes.csv", f"\ufeffsep=;\r\n{text}")
    assert folder.num_read() == 6
    folder.write("boxes.csv", f"sep=;\n{text}{own[0].file};96;64;cat;1;2;3\n")
    (left,) = folder.read(LOSSY).account.tallies["boxes"].left_out.values()
    assert "line 9" in left.first


@pytest.mark.parametrize(
    ("title", "cells", "is_said"),
    [
        ("score", ["0.9"] * 6, True),
        ("Confidence", ["1"] * 6, False),  # as Open Images has it
        ("score", [""] * 6, False),
        ("confidence", ["5"] * 6, False),  # a grade
        ("score", ["87"] * 6, True),
    ],
)
def test_boxes_with_a_score_are_said(folder: Folder, title, cells, is_said):
    _with_columns(folder, title, cells)
    notes = "".join(folder.read().account.notes)
    assert ("6 boxes in the table have a score" in notes) == is_said


def test_tables_in_different_units(folder: Folder):
    for part, count, is_in_shares in (("train", 20, True), ("val", 12, False)):
        own = folder.pictures(scenes(count, prefix=part))
        folder.write(f"{part}.csv", drawing.table(own, is_in_shares=is_in_shares))
    assert folder.num_read() == 32
