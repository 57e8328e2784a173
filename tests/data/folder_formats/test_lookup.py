"""The picture that an annotation means."""

from __future__ import annotations

import unicodedata

import pytest

from tests.data.annotated import drawing
from tests.data.annotated.drawing import LOSSY, Folder, scenes


def test_labels_of_one_camera_are_not_those_of_another(folder: Folder):
    folder.pictures(scenes(6, prefix="0"), "images/cam1")
    for scene in scenes(6, prefix="0", seed=1):
        folder.write(f"labels/cam2/{scene.stem}.txt", drawing.yolo(scene))
    folder.write("data.yaml", "names: [cat, dog]")
    assert "picture that is not there" in folder.refusal()


def test_a_split_without_its_picture_takes_none_of_another(folder: Folder):
    for split in ("train", "valid"):
        own = folder.pictures(scenes(6, prefix="0", seed=len(split), split=split), split)
        folder.write(f"{split}/_annotations.coco.json", drawing.coco(own))
    (folder.root / "train/0003.png").unlink()
    found = folder.read(LOSSY)
    assert found.account.tallies["annotations"].left_out["picture that is not there"].count == 1


@pytest.mark.parametrize("gone", ["", "morning/"])
def test_labels_of_a_deleted_picture_are_not_those_of_one_further_down_or_up(folder: Folder, gone):
    """Both folders count from 1, and nobody has labelled the other picture of the name."""
    other = {"": "morning/", "morning/": ""}[gone]
    for place in (gone, other):
        for scene in folder.pictures(scenes(6, prefix="IMG_", seed=len(place)), f"images/{place}"):
            folder.write(f"labels/{place}{scene.stem}.txt", drawing.yolo(scene))
    folder.write("data.yaml", "names: [cat, dog]")
    stem = sorted(path.stem for path in (folder.root / "images").glob("*.png"))[2]
    (folder.root / f"images/{gone}{stem}.png").unlink()
    (folder.root / f"labels/{other}{stem}.txt").unlink()
    found = folder.read(LOSSY)
    assert not [p for p in found.pictures() if p.path.stem == stem]
    assert found.account.tallies["annotations"].left_out["picture that is not there"].count == 1


def test_labels_in_one_folder_are_those_of_pictures_that_were_sorted(folder: Folder):
    """Some were moved into a folder after they were labelled; no name is there twice."""
    for place, prefix in (("", "a"), ("morning/", "b")):
        for scene in folder.pictures(scenes(6, prefix=prefix), f"images/{place}"):
            folder.write(f"labels/{scene.stem}.txt", drawing.yolo(scene))
    folder.write("data.yaml", "names: [cat, dog]")
    assert folder.num_read() == 12


@pytest.mark.parametrize(
    "spelled",
    [
        "images\\{name}",
        "..\\..\\label-studio\\media\\upload\\4\\{name}",
        "/home/somebody/my data/images/{name}",
        "C:\\Users\\me\\pictures\\{name}",
        "images\\1/{name}",
        "./images/{name}",
        "https://host/bucket/{name}?sig=a%2Fb",
        "{upper}",
        "images/{percent}",
        "/data/local-files/?d=photos/images/{percent}",
        "/data/local-files/?d=images%5C{percent}",
    ],
)
def test_paths_as_other_systems_spell_them(folder: Folder, spelled):
    for split, count in (("train", 8), ("val", 4)):
        own = folder.pictures(scenes(count, prefix=f"my photo {split} "), "images")
        names = {
            s.file: spelled.format(
                name=s.file, upper=s.file.upper(), percent=s.file.replace(" ", "%20")
            )
            for s in own
        }
        folder.write(f"annotations/{split}.json", drawing.coco(own, spelled=names))
    assert folder.num_read() == 12


@pytest.mark.parametrize("form", ["NFC", "NFD"])
def test_unicode_forms(folder: Folder, form):
    other = {"NFC": "NFD", "NFD": "NFC"}[form]
    own = scenes(8, prefix=unicodedata.normalize(form, "Köln_"))
    folder.pictures(own, "images")
    spelled = {s.file: unicodedata.normalize(other, s.file) for s in own}
    folder.write("annotations.json", drawing.coco(own, spelled=spelled))
    assert folder.num_read() == 8


def test_filename_of_voc_is_obeyed(folder: Folder):
    for number, scene in enumerate(folder.pictures(scenes(8), "JPEGImages")):
        folder.write(f"Annotations/ann_{number}.xml", drawing.voc(scene))
    assert folder.num_read() == 8


def test_an_old_filename_gives_way_to_the_name_of_the_file(folder: Folder):
    for scene in folder.pictures(scenes(8)):
        folder.write(f"{scene.stem}.xml", drawing.voc(scene, spelled="IMG_2044.JPG"))
    assert folder.num_read() == 8


def test_a_filename_against_the_name_of_the_file(folder: Folder):
    own = folder.pictures(scenes(8))
    for scene, other in zip(own, own[1:] + own[:1], strict=True):
        folder.write(f"{scene.stem}.xml", drawing.voc(other))
    said = folder.refusal()
    assert "names one picture and is called like another" in said
    assert "img_001.png or img_000.png" in said


def test_the_same_stem_with_two_endings(folder: Folder):
    own = folder.pictures(scenes(8))
    drawing.put_all(folder.root, scenes(8, ending=".jpg", seed=5), folder.truth)
    for scene in own:
        folder.write(f"{scene.stem}.xml", drawing.voc(scene))
    assert folder.num_read() == 8
    for scene in own:
        (folder.root / f"{scene.stem}.xml").unlink()
        folder.write(f"{scene.stem}.txt", drawing.yolo(scene))
    folder.write("classes.txt", "cat\ndog\n")
    assert "img_000.jpg or img_000.png" in folder.refusal()


def test_pictures_converted_after_the_annotation(folder: Folder):
    own = folder.pictures(scenes(8, ending=".png"))
    folder.write("a.json", drawing.coco(own, spelled={s.file: f"{s.stem}.jpg" for s in own}))
    assert folder.num_read() == 8
    drawing.put_all(folder.root, scenes(1, ending=".jpg", prefix="other"), folder.truth)
    assert "picture that is not there" in folder.refusal()


def test_a_missing_picture_is_not_one_of_another_ending(folder: Folder):
    own = folder.pictures(scenes(8))
    folder.pictures(scenes(1, ending=".gif", seed=3))
    for scene in own:
        folder.write(f"{scene.stem}.xml", drawing.voc(scene))
    (folder.root / own[0].file).unlink()
    assert "picture that is not there" in folder.refusal()


def test_a_missing_picture_with_a_blank_is_not_one_of_another_ending(folder: Folder):
    own = folder.pictures(scenes(8, prefix="my photo "))
    folder.pictures(scenes(1, prefix="my photo ", ending=".gif", seed=3))
    for scene in own:
        spelled = scene.file.replace(" ", "%20")
        folder.write(f"{scene.stem}.xml", drawing.voc(scene, spelled))
    assert folder.num_read() == 8
    (folder.root / own[0].file).unlink()
    assert "picture that is not there" in folder.refusal()


def test_a_file_without_an_ending_is_named(folder: Folder):
    own = folder.pictures(scenes(4))
    for scene in own:
        (folder.root / scene.file).rename(folder.root / scene.stem)
    folder.write("a.json", drawing.coco(own, spelled={s.file: s.stem for s in own}))
    assert "img_000: a picture needs an ending" in folder.refusal()


def test_labels_of_renamed_pictures_take_no_preview_of_the_name(folder: Folder):
    own = folder.pictures(scenes(6), "train")
    for scene in own:
        folder.write(f"train/{scene.stem}.txt", drawing.yolo(scene))
        (folder.root / "train" / scene.file).rename(folder.root / "train" / f"new {scene.file}")
    folder.write("classes.txt", "cat\ndog\n")
    folder.pictures(scenes(1, ending=".gif", seed=7), "train")
    whole = folder.pictures(scenes(2, seed=8), "val")
    folder.pictures(scenes(1, ending=".gif", seed=9), "val")
    for scene in whole:
        folder.write(f"val/{scene.stem}.txt", drawing.yolo(scene))
    found = folder.read(LOSSY)
    assert [str(p.path.name) for p in found.pictures()] == ["img_001.png"]
