"""What stands in place of annotations or pictures is named, with what to do."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from omnidet.data.annotated.read import read
from tests.data.annotated import drawing
from tests.data.annotated.drawing import Folder, Scene, scenes

NAMES = ("cat", "dog")


@pytest.mark.parametrize(
    ("given", "remedy"),
    [
        ("nowhere", "give the one with pictures"),
        ("set.zip", "unpack it"),
        ("data.yaml", "that it lies in"),
        ("https:/host/set.zip", "download"),
        ("s3:/bucket/set", "s3://"),
    ],
)
def test_what_is_not_a_folder(tmp_path, monkeypatch, given, remedy):
    monkeypatch.chdir(tmp_path)
    for name in ("set.zip", "data.yaml"):
        drawing.write(tmp_path / name, "x")
    with pytest.raises(FileNotFoundError, match=f"{given} is not a folder: .*{remedy}"):
        read(Path(given))


def test_a_link_that_was_copied_as_text(folder: Folder):
    folder.write("images", "../disk/images")
    assert "a link that was copied as text" in folder.refusal()


def test_links_in_place_of_pictures_are_named_beside_sound_annotations(folder: Folder):
    folder.write("a.json", drawing.coco(scenes(4)))
    (folder.root / "images").symlink_to("/nowhere/images")
    assert "images is a link to /nowhere/images, which is not there" in folder.refusal()
    (folder.root / "images").unlink()
    folder.write("images", "../disk/images")
    assert "images is a file that holds '../disk/images'" in folder.refusal()


@pytest.mark.parametrize("what", ["pictures", "annotations", "all"])
@pytest.mark.parametrize("file", ["set.zip", "set.tar.gz", "a.json.gz"])
def test_what_is_packed_is_named(folder: Folder, what, file):
    if what == "annotations":
        folder.pictures(scenes(4))
    elif what == "pictures":
        folder.write("a.json", drawing.coco(scenes(4)))
    folder.write(file, b"PK")
    assert f"{file} is packed: unpack it there" in folder.refusal()


@pytest.mark.parametrize("kind", ["yolo", "voc", "coco", "csv"])
def test_annotations_without_their_pictures_say_what_to_do(folder: Folder, kind):
    own = scenes(4)
    for scene in own if kind in ("yolo", "voc") else ():
        text = drawing.yolo(scene) if kind == "yolo" else drawing.voc(scene)
        folder.write(f"labels/{scene.stem}.{'txt' if kind == 'yolo' else 'xml'}", text)
    if kind == "yolo":
        folder.write("data.yaml", "names: [cat, dog]")
    elif kind != "voc":
        made = drawing.coco(own) if kind == "coco" else drawing.table(own)
        folder.write("a.json" if kind == "coco" else "a.csv", made)
    assert "has no pictures: put them there" in folder.refusal()
    folder.pictures(scenes(1, prefix="other_"), "images")
    said = folder.refusal()
    assert "images/other_000.png" in said
    assert "give both the same" in said


def test_a_folder_without_a_single_box_says_what_to_do(folder: Folder):
    for scene in folder.pictures(scenes(2)):
        folder.write(f"{scene.stem}.txt", "")
    folder.write("img_000.txt", "0 0.5 abc 0.1 0.1\n")
    folder.write("img_001.txt", "0 0.5 0.5 0 0.1\n")
    folder.write("classes.txt", "cat\n")
    assert "mend them" in folder.refusal()
    for name in ("img_000.txt", "img_001.txt", "classes.txt"):
        (folder.root / name).unlink()
    folder.write("a.json", {**drawing.coco(scenes(2)), "annotations": []})
    assert "draw boxes" in folder.refusal()


def test_other_files_are_named(folder: Folder):
    folder.pictures(scenes(2))
    folder.write("boxes.json", {"img_000.png": [[1, 2, 3, 4, "cat"]]})
    assert "there is boxes.json" in folder.refusal()


@pytest.mark.parametrize("is_in_part", [False, True])
def test_pictures_of_another_size_or_two_of_a_name_say_which_are_wanted(folder: Folder, is_in_part):
    own = folder.pictures(scenes(8), "original")
    for place, scene in enumerate(own):
        size = (192, 128) if place > 3 or not is_in_part else None
        folder.write(f"xml/{scene.stem}.xml", drawing.voc(scene, size=size))
    assert "pictures there that the boxes were drawn on" in folder.refusal()
    for scene in own[2 if is_in_part else 0 :]:
        folder.write(f"xml/{scene.stem}.xml", drawing.voc(scene))
        folder.pictures([Scene(scene.file, [])], "resized")
    assert "pictures that are not meant out of the folder" in folder.refusal()


POINTER = "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n"


@pytest.mark.parametrize("name", ["a.json", "labels/img_000.txt", "images.zip", "img_000.xml"])
def test_pointers_of_git_in_place_of_files_are_named(folder: Folder, name):
    folder.pictures(scenes(2), "images")
    folder.write(name, POINTER)
    said = folder.refusal()
    for part in (name, "git lfs pull"):
        assert part in said


def test_a_format_without_a_picture_is_said_beside_one_that_is_read(folder: Folder):
    folder.yolo()
    folder.write("data.yaml", "names: [cat, dog]")
    folder.write("old.xml", drawing.voc(scenes(1, prefix="gone")[0]))
    found = folder.read()
    assert found.format == "YOLO txt"
    assert any("Pascal VOC xml" in note for note in found.account.notes)


def test_tasks_with_predictions_alone_say_so(folder: Folder):
    tasks = drawing.label_studio(folder.pictures(scenes(4)))
    for task in tasks:
        task["predictions"], task["annotations"] = task["annotations"], []
    folder.write("export.json", tasks)
    assert "task without a submitted annotation" in folder.refusal()


@pytest.mark.parametrize(
    ("folders", "is_said"),
    [(("Bolt", "Nut"), True), (("images", "more"), False), (("train", "test"), False)],
)
def test_folders_of_a_classifier_are_said_to_have_no_boxes(folder: Folder, folders, is_said):
    for name in folders:
        folder.pictures(scenes(2, prefix=f"{name}_"), name)
    said = folder.refusal()
    assert ("Bolt, Nut" in said and "draw boxes" in said) == is_said
    assert "COCO json" in said


@pytest.mark.parametrize(
    ("row", "title"),
    [
        ("cat 0.00 0 -1.57 5.0 6.0 50.0 60.0 1.0 1.0 1.0 1.0 1.0 1.0 0.0", "KITTI"),
        ("5,6,40,30,1,1,0,0", "VisDrone"),
    ],
)
def test_another_format_beside_names_of_classes_is_named(folder: Folder, row, title):
    for scene in folder.pictures(scenes(4)):
        folder.write(f"{scene.stem}.txt", f"{row}\n")
    folder.write("classes.txt", "cat\ndog\n")
    said = folder.refusal()
    assert title in said
    assert "img_000.txt" in said


def _one_folder_a_name(folder: Folder, own: list[Scene]) -> None:
    for name in NAMES:
        for scene in own:
            things = [thing for thing in scene.things if thing.name == name]
            folder.write(f"xml_{name}/{scene.stem}.xml", drawing.voc(replace(scene, things=things)))


def _two_names(folder: Folder, own: list[Scene]) -> None:
    """Each thing bears one name in one file and another one in the other."""
    for name in NAMES:
        things = {scene.file: [replace(t, name=name) for t in scene.things] for scene in own}
        found = [replace(scene, things=things[scene.file]) for scene in own]
        folder.write(f"{name}.json", drawing.coco(found))


def _two_people(folder: Folder, own: list[Scene]) -> None:
    """One draws each thing closer than the other."""
    closer = [
        replace(s, things=[replace(t, xywh=(*t.xywh[:3], 0.8 * t.xywh[3])) for t in s.things])
        for s in own
    ]
    for person, found in (("ann", own), ("bob", closer)):
        folder.write(f"{person}.json", drawing.coco(found))


@pytest.mark.parametrize(
    ("write", "remedy"),
    [
        (_one_folder_a_name, "if each of them boxes other names"),
        (_two_names, "to have both names"),
        (_two_people, "the annotation of one person"),
    ],
)
@pytest.mark.parametrize("num_more", [0, 4])
def test_files_that_contradict_one_another_are_not_to_be_mended(
    folder: Folder, write, remedy, num_more
):
    write(folder, folder.pictures(scenes(12, per_picture=2), "images"))
    if num_more and write is not _one_folder_a_name:
        more = folder.pictures(scenes(num_more, prefix="more_"), "images")
        folder.write("more.json", drawing.coco(more))
    said = folder.refusal()
    assert remedy in said
    assert "mend them" not in said
