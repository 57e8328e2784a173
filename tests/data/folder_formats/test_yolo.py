"""Labels of YOLO and their names, however they are written."""

from __future__ import annotations

import pytest

from tests.data.annotated import drawing
from tests.data.annotated.drawing import LOSSY, Folder, Scene, scenes

TWELVE = [f"{colour}{kind}" for colour in ("red", "blue", "grey") for kind in "abcd"]


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("names:\n" + "".join(f"  '{i}': {n}\n" for i, n in enumerate(TWELVE)), TWELVE),
        ("names: [cat, dog]\nnc: 2", ["cat", "dog"]),
        ("\ufeffnames:\n  0: cat\n  1: dog\n", ["cat", "dog"]),
        ("names: {cat: 0, dog: 1}", ["cat", "dog"]),
        ("names: names.txt", ["cat", "dog"]),
        ("names: ['no', on]", ["no", "on"]),
        ("names: [no, on]", ["no", "on"]),
        ("names: {0: 7, 1: 08}", ["7", "08"]),
    ],
)
def test_names_of_yolo_however_they_are_written(folder: Folder, text, names):
    folder.yolo(24, names)
    folder.write("names.txt", "".join(f"{name}\r\n" for name in names))
    folder.write("data.yaml", text)
    found = folder.read()
    assert set(found.names) == set(names)
    assert found.account.tallies["boxes"].lost == 0


def test_names_from_1_mean_what_they_say(folder: Folder):
    folder.pictures(own := scenes(8))
    for scene in own:
        folder.write(f"{scene.stem}.txt", drawing.yolo(scene, ("nothing", "cat", "dog")))
    folder.write("data.yaml", "names: {1: cat, 2: dog}")
    assert folder.num_read() == 8
    folder.write("data.yaml", "names: {2: cat, 3: dog}")
    assert "4 of 8 boxes cannot be used" in folder.refusal()


def test_rows_in_odd_shapes(folder: Folder):
    own = folder.pictures([*scenes(8), Scene("empty.png", [])])
    for number, scene in enumerate(own):
        row = drawing.yolo(scene)
        odd = [
            "\n\n" + row,
            row.replace(" ", "\t"),
            row.replace("\n", "\r\n"),
            row.replace(" ", ","),
        ]
        first = row[:1] + ".0" + row[1:] if row else ""
        odd += [first, "\ufeff" + row, row.replace(" ", "  "), row]
        folder.write(f"{scene.stem}.txt", odd[number % len(odd)])
    folder.write("classes.txt", "\ufeffcat\r\ndog\r\n\r\n")
    found = folder.read()
    assert sum(len(p.boxes) for p in found.pictures()) == 8
    (empty,) = (p for p in found.pictures() if p.path.name == "empty.png")
    assert empty.unknown == frozenset()


def test_a_class_written_by_its_name(folder: Folder):
    own = folder.pictures(scenes(4))
    for scene in own:
        row = drawing.yolo(scene)
        folder.write(f"{scene.stem}.txt", scene.things[0].name + row[1:])
    folder.write("classes.txt", "cat\ndog\n")
    assert folder.num_read() == 4


def test_rows_that_cannot_be_read_leave_their_name_unknown(folder: Folder):
    own = folder.pictures(scenes(8, per_picture=2))
    for scene in own[:2]:
        first, second = drawing.yolo(scene).splitlines()
        folder.write(f"{scene.stem}.txt", f"{first}\n{second.replace('0.', 'abc', 1)}\n")
    for scene in own[2:4]:
        first, second = drawing.yolo(scene).splitlines()
        folder.write(f"{scene.stem}.txt", f"{first}\n7{second[1:]}\n")
    for scene in own[4:]:
        folder.write(f"{scene.stem}.txt", drawing.yolo(scene))
    folder.write("classes.txt", "cat\ndog\n")
    said = folder.refusal()
    assert "4 of 16 boxes cannot be used" in said
    assert "img_000.txt line 2" in said
    found = folder.read(LOSSY)
    unknown = {p.path.stem: p.unknown for p in found.pictures()}
    assert unknown["img_000"] == {own[0].things[1].name}
    assert unknown["img_002"] == {"cat", "dog"}
    assert unknown["img_007"] == frozenset()


def test_label_named_after_the_whole_picture(folder: Folder):
    own = folder.pictures(scenes(8, ending=".jpg"))
    for scene in own:
        folder.write(f"{scene.file}.txt", drawing.yolo(scene))
    folder.write("classes.txt", "cat\ndog\n")
    assert folder.num_read() == 8


def test_two_label_files_of_a_picture(folder: Folder):
    folder.yolo()
    folder.write("data.yaml", "names: [cat, dog]")
    for path in sorted((folder.root / "labels/train").iterdir()):
        folder.write(f"labels_old/train/{path.name}", path.read_bytes())
    assert folder.num_read() == 12  # the same labels twice
    for path in sorted((folder.root / "labels/train").iterdir()):
        folder.write(f"labels_old/train/{path.name}", path.read_text().replace(" 0.", " 0.1"))
    said = folder.refusal()
    assert "another one, which differs" in said
    assert "labels_old/train" in said


def test_splits_of_data_yaml(folder: Folder):
    for site, count in (("a", 8), ("b", 4)):
        for scene in folder.pictures(scenes(count, prefix=site), f"images/site_{site}"):
            folder.write(f"labels/site_{site}/{scene.stem}.txt", drawing.yolo(scene))
    folder.write(
        "data.yaml", "path: /else\ntrain: images/site_a\nval: [images/site_b]\nnames: [cat, dog]"
    )
    found = folder.read()
    assert {split: len(p) for split, p in found.splits.items()} == {"train": 8, "val": 4}
    lines = [f"./images/site_a/a{i:03d}.png" for i in range(6)]
    folder.write("first.txt", "\n".join(lines))
    folder.write("data.yaml", "train: first.txt\nval: images/site_b\nnames: [cat, dog]")
    assert len(folder.read().splits["train"]) == 6


@pytest.mark.parametrize(
    ("splits", "held"),
    [
        ("train: images/site_a\nval: images/site_b\ntest: images/site_b", {"test": 4}),
        ("train: [images/site_a, images/site_b]\nval: images/site_b", {"val": 4}),
        ("train: images\nval: images\ntest: images", {}),
    ],
)
def test_a_folder_of_several_splits_is_not_trained_on(folder: Folder, splits, held):
    for site, count in (("site_a", 8), ("site_b", 4)):
        for scene in folder.pictures(scenes(count, prefix=site), f"images/{site}"):
            folder.write(f"labels/{site}/{scene.stem}.txt", drawing.yolo(scene))
    folder.write("data.yaml", f"{splits}\nnames: [cat, dog]")
    found = folder.read()
    sizes = {split: len(own) for split, own in found.splits.items()}
    assert sizes == ({"train": 8, **held} if held else {"": 12})
    assert any("several splits" in note for note in found.account.notes)


def test_a_misspelled_split_of_data_yaml_is_said(folder: Folder):
    folder.yolo()
    yaml = "train: images/train\nvla: images/val\nnames: [cat, dog]\nauthor: somebody\n"
    folder.write("data.yaml", yaml)
    (note,) = (n for n in folder.read().account.notes if "vla" in n)
    assert "data.yaml names vla: images/val" in note


def test_the_layout_of_darknet_and_cvat(folder: Folder):
    own = folder.pictures(scenes(8), "obj_train_data")
    for scene in own:
        folder.write(f"obj_train_data/{scene.stem}.txt", drawing.yolo(scene))
    folder.write("obj.names", "cat\ndog\n")
    folder.write("obj.data", "classes = 2\nnames = data/obj.names\ntrain = data/train.txt\n")
    folder.write("train.txt", "".join(f"data/obj_train_data/{s.file}\n" for s in own[:6]))
    folder.write("test.txt", "".join(f"data/obj_train_data/{s.file}\n" for s in own[6:]))
    found = folder.read()
    assert {split: len(p) for split, p in found.splits.items()} == {"train": 6, "test": 2}


def test_a_label_without_a_picture_and_a_row_that_can_be_read_is_counted(folder: Folder):
    own = folder.pictures(scenes(12))
    for scene in own:
        folder.write(f"labels/{scene.stem}.txt", drawing.yolo(scene))
    folder.write("classes.txt", "cat\ndog\n")
    folder.write("labels/gone.txt", "0 abc 0.5 0.1 0.1\n")
    folder.write("notes/readme.txt", "3 pictures are missing\n")
    assert folder.read().account.tallies["boxes"].lost == 1


def test_labels_with_a_confidence_are_said(folder: Folder):
    for number, scene in enumerate(folder.pictures(scenes(8))):
        row = drawing.yolo(scene).rstrip()
        folder.write(f"{scene.stem}.txt", f"{row} {0.87 if number < 3 else 1.0}\n")
    folder.write("classes.txt", "cat\ndog\n")
    assert folder.num_read() == 8
    assert "3 boxes in the labels have a score" in "".join(folder.read().account.notes)


def test_labels_of_one_folder_that_count_from_another_number_are_refused(folder: Folder):
    for split, shift, count in (("train", 0, 24), ("val", 1, 8)):
        own = folder.pictures(scenes(count, prefix=split), f"{split}/images")
        for scene in own:
            row = drawing.yolo(scene).split(" ", 1)
            folder.write(f"{split}/labels/{scene.stem}.txt", f"{int(row[0]) + shift} {row[1]}")
    folder.write("data.yaml", "names: [cat, dog]")
    said = folder.refusal(LOSSY)
    for part in (
        "4 of 8 boxes",
        "labels in val/labels count from 1",
        "like the others",
        "left over",
    ):
        assert part in said
