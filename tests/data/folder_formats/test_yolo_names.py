"""Files that name the classes of YOLO, and contradict one another."""

from __future__ import annotations

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


def test_several_files_of_names(folder: Folder):
    folder.yolo()
    folder.write("data.yaml", "train: images/train\nval: images/val\nnames: [cat, dog]")
    folder.write("coco128.yaml", "path: ../coco128\ntrain: images/train2017\nnames: [person, car]")
    folder.write("k8s.yaml", "kind: Namespace\n---\nkind: Service\n")
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
