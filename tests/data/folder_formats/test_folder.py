"""Files of a folder: links, leftovers, and what folder names say."""

from __future__ import annotations

import json
import os
import shutil

from tests.data.annotated import drawing
from tests.data.annotated.drawing import Folder, scenes


def test_links_are_followed_and_loops_are_not(folder: Folder, tmp_path):
    folder.yolo()
    folder.write("data.yaml", "names: [cat, dog]")
    shutil.move(folder.root / "images", tmp_path / "disk")
    (folder.root / "images").symlink_to(tmp_path / "disk")
    (folder.root / "labels" / "again").symlink_to(folder.root)
    (folder.root / "gone").symlink_to(tmp_path / "nowhere")
    assert folder.num_read() == 12


def test_leftovers_of_systems_are_passed_over(folder: Folder):
    folder.yolo()
    folder.write("data.yaml", "names: [cat, dog]")
    for name in ("._data.yaml", "__MACOSX/data.yaml", "labels/train/._t_000.txt"):
        folder.write(name, b"\0\5\x16\7Mac OS X")
    for name in ("images/train/._t_000.png", "__MACOSX/images/train/t_000.png", ".cache/t_000.png"):
        folder.write(name, b"\0\5\x16\7Mac OS X")
    found = folder.read()
    assert found.account.tallies["pictures"].read == 12


def test_picture_names_say_no_split(folder: Folder):
    for split, count in (("train", 8), ("val", 4)):
        made = scenes(count, prefix="COCO_train2014_" if split == "val" else "test_bench_")
        for scene in folder.pictures(made, f"images/{split}"):
            folder.write(f"labels/{split}/{scene.stem}.txt", drawing.yolo(scene))
    folder.write("data.yaml", "names: [cat, dog]")
    found = folder.read()
    assert {split: len(p) for split, p in found.splits.items()} == {"train": 8, "val": 4}


def test_a_folder_that_says_more_than_a_split_is_none(folder: Folder):
    for place in ("test_bench", "train_station", "training"):
        for scene in folder.pictures(scenes(4, prefix=place), place):
            folder.write(f"{place}/{scene.stem}.xml", drawing.voc(scene))
    found = folder.read()
    assert {split: len(p) for split, p in found.splits.items()} == {"": 8, "train": 4}


def test_data_of_the_file_system(folder: Folder):
    """Names that no text holds do not stop the reading."""
    folder.coco()
    (folder.root / os.fsdecode(b"\xff.png")).write_bytes(b"x")
    assert folder.num_read() == 12
    assert json.dumps(folder.read().account.describe())


def test_case_counts_where_it_tells_two_pictures_apart(folder: Folder):
    own = folder.pictures(scenes(8))
    for scene in own:
        folder.write(f"{scene.stem}.xml", drawing.voc(scene, scene.file.upper()))
    assert folder.num_read() == 8
    folder.pictures(scenes(2, prefix="Img_", seed=4))
    assert "picture that is not there" in folder.refusal()


def test_variants_are_not_taken_for_missing_pictures(folder: Folder):
    own = folder.pictures(scenes(8))
    folder.pictures(scenes(3, ending=".gif", seed=4))
    for scene in own[3:]:
        folder.write(f"{scene.stem}.txt", drawing.yolo(scene))
    folder.write("classes.txt", "cat\ndog\n")
    assert folder.num_read() == 5
    (folder.root / own[0].file).unlink()
    folder.write(f"{own[0].stem}.txt", drawing.yolo(own[0]))
    assert "picture that is not there" in folder.refusal()
