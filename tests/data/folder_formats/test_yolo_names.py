"""Files that name the classes of YOLO, and contradict one another."""

from __future__ import annotations

import pytest

from tests.data.annotated import drawing
from tests.data.annotated.drawing import Folder, scenes


def test_names_in_another_encoding(folder: Folder):
    folder.yolo()
    folder.write("classes.txt", "猫 cat\n狗 dog\n".encode("gbk"))
    assert "classes.txt is not UTF-8" in folder.refusal()


def test_fewer_names_than_classes(folder: Folder):
    folder.yolo()
    folder.write("data.yaml", "names: [cat, ]\nnc: 2")
    assert "class 1 of 1 names in data.yaml, which says nc: 2" in folder.refusal()


@pytest.mark.parametrize("file", ["data.yaml", "classes.txt"])
def test_two_classes_of_one_name_are_refused(folder: Folder, file):
    folder.yolo(names=("cat", "dog"))
    folder.write(file, "names: [cat, cat]" if file == "data.yaml" else "cat\ncat\n")
    said = folder.refusal()
    assert "class 0 and class 1" in said
    assert file in said


@pytest.mark.parametrize(
    "text", ["names: {0: cat, 1: dog, 1: bird}", "names: [cat, dog]\nnc: 2\nnames: [dog, cat]\n"]
)
def test_a_key_that_stands_in_data_yaml_twice_is_refused(folder: Folder, text):
    folder.yolo()
    folder.write("data.yaml", text)
    said = folder.refusal()
    assert ("'1'" if "bird" in text else "'names'") in said
    assert "data.yaml" in said


def test_several_files_of_names(folder: Folder):
    folder.yolo()
    folder.write("data.yaml", "train: images/train\nval: images/val\nnames: [cat, dog]")
    folder.write("coco128.yaml", "path: ../coco128\ntrain: images/train2017\nnames: [person, car]")
    folder.write("k8s.yaml", "kind: Namespace\n---\nkind: Service\n")
    assert folder.num_read() == 12
    folder.write("classes.txt", "Cat\nDOG\n")
    assert folder.num_read() == 12
    folder.write("other.yaml", "train: images/train\nnames: [dog, cat]")
    assert "class 0 is 'cat' in data.yaml and 'dog' in other.yaml" in folder.refusal()
    (folder.root / "other.yaml").unlink()
    folder.write("labels/classes.txt", "dog\ncat\n")
    assert "labels/classes.txt" in folder.refusal()


def test_each_folder_may_have_names_in_its_own_order(folder: Folder):
    for split, names in (("train", ("cat", "dog")), ("val", ("dog", "cat"))):
        for scene in folder.pictures(scenes(6, prefix=split), split):
            folder.write(f"{split}/{scene.stem}.txt", drawing.yolo(scene, names))
        folder.write(f"{split}/classes.txt", "\n".join(names))
    assert folder.num_read() == 12


@pytest.mark.parametrize("file", ["classes.txt", "names.txt"])
@pytest.mark.parametrize(
    "text", ["# our classes\n#\ncat\ndog\n", "0: cat\n1: dog\n", "0 cat\n1 dog", "0,cat\n1,dog"]
)
def test_comments_and_numbers_in_lists_of_names(folder: Folder, file, text):
    folder.yolo()
    folder.write(file, text)
    assert folder.read().names == ("cat", "dog")


def test_numbers_before_names_are_those_of_the_labels(folder: Folder):
    for scene in folder.pictures(scenes(8)):
        row = drawing.yolo(scene, ("none", "cat", "dog"))
        folder.write(f"{scene.stem}.txt", row)
    folder.write("classes.txt", "1 cat\n2 dog\n")
    assert folder.read().names == ("cat", "dog")


def test_a_comment_among_the_names_may_be_a_class(folder: Folder):
    folder.yolo()
    folder.write("classes.txt", "cat\n# bird\ndog\n")
    assert "'# bird'" in folder.refusal()


def test_names_in_utf_16_without_a_mark(folder: Folder):
    folder.yolo()
    folder.write("classes.txt", "cat\r\ndog\r\n".encode("utf-16-le"))
    assert "not UTF-8" in folder.refusal()


@pytest.mark.parametrize(
    ("first", "is_heading"),
    [("classes:", True), ("Classes", True), ("class names", True), ("label", False)],
)
def test_a_heading_among_the_names_is_refused(folder: Folder, first, is_heading):
    for scene in folder.pictures(scenes(8)):
        folder.write(f"{scene.stem}.txt", drawing.yolo(scene, ("x", "cat", "dog")))
    folder.write("classes.txt", f"{first}\ncat\ndog\n")
    if is_heading:
        assert f"classes.txt: the first line, {first!r}" in folder.refusal()
    else:
        assert folder.num_read() == 8


def test_names_above_and_beside_the_labels_must_agree(folder: Folder):
    for scene in folder.pictures(scenes(8), "images"):
        folder.write(f"labels/{scene.stem}.txt", drawing.yolo(scene))
    folder.write("labels/classes.txt", "cat\ndog\n")
    folder.write("classes.txt", "dog\ncat\n")
    said = folder.refusal()
    assert "labels/classes.txt" in said
    assert "'dog' in classes.txt" in said
    folder.write("classes.txt", "cat\ndog\n")
    assert folder.num_read() == 8


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("<<<<<<< HEAD\ncat\n=======\nkitten\n>>>>>>> other\ndog\n", "'<<<<<<< HEAD'"),
        ("version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 8\n", "git lfs pull"),
    ],
)
def test_what_git_leaves_in_place_of_names_is_refused(folder: Folder, text, part):
    folder.yolo()
    folder.write("classes.txt", text)
    said = folder.refusal()
    assert part in said
    assert "classes.txt" in said
