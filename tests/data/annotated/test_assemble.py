"""Each picture once, with all its boxes, the right way up."""

from __future__ import annotations

import shutil

import pytest

from omnidet.data.annotated.config import ReadConfig
from tests.data.annotated import drawing
from tests.data.annotated.drawing import SIZE, Folder, Scene, Thing, scenes


def _as_stored(scene: Scene, orientation: int) -> Scene:
    """The scene as a tool shows it that does not look at EXIF."""
    width, height = SIZE
    things = []
    for thing in scene.things:
        x, y, w, h = thing.xywh
        things.append(
            Thing(
                thing.name,
                {
                    2: (width - x - w, y, w, h),
                    3: (width - x - w, height - y - h, w, h),
                    4: (x, height - y - h, w, h),
                    5: (y, x, h, w),
                    6: (y, width - x - w, h, w),
                    7: (height - y - h, width - x - w, h, w),
                    8: (height - y - h, x, h, w),
                }[orientation],
            )
        )
    size = (height, width) if orientation >= 5 else SIZE
    return Scene(scene.file, things, size)


def test_an_old_copy_of_the_annotations_is_in_dispute(folder: Folder):
    own = folder.pictures(scenes(8), "images")
    folder.write("annotations/all.json", drawing.coco(own))
    folder.write("annotations/all (copy).json", drawing.coco(own))
    assert folder.num_read() == 8
    moved = drawing.coco(own)
    for annotation in moved["annotations"]:
        annotation["bbox"][0] += 3
    folder.write("annotations/all (copy).json", moved)
    assert "box that two annotations draw differently" in folder.refusal()
    for annotation in moved["annotations"]:
        annotation["bbox"][0] = 60  # somewhere else: not one thing drawn twice
    folder.write("annotations/all (copy).json", moved)
    said = folder.refusal()
    assert "annotations/all (copy).json" in said
    assert "annotations/all.json" in said


@pytest.mark.parametrize("orientation", range(2, 9))
@pytest.mark.parametrize("was", ["upright", "stored"])
def test_exif_turns_what_was_drawn_as_the_declared_size_says(
    folder: Folder, tmp_path, orientation, was
):
    own = scenes(8, ending=".jpg")
    folder.pictures(own, orientation=orientation)
    if was == "upright":
        folder.write("a.json", drawing.coco(own))
    else:
        folder.write("a.json", drawing.coco([_as_stored(s, orientation) for s in own]))
    if orientation >= 5:
        found = folder.read()
    else:
        assert "--exif" in folder.refusal()
        found = folder.read(ReadConfig(exif=was))
    assert sum(len(p.boxes) for p in found.pictures()) == 8
    assert all(p.opened.size == SIZE for p in found.pictures())


@pytest.mark.parametrize("was", ["", "upright", "stored"])
def test_exif_where_nothing_says_which_way(folder: Folder, was):
    own = scenes(8, ending=".jpg")
    folder.pictures(own, orientation=6)
    for scene in own:
        drawn = _as_stored(scene, 6) if was == "stored" else scene
        folder.write(f"{scene.stem}.txt", drawing.yolo(drawn))
    folder.write("classes.txt", "cat\ndog\n")
    if was:
        assert folder.num_read(ReadConfig(exif=was)) == 8
    else:
        assert "--exif upright or --exif stored" in folder.refusal()


def test_a_picture_of_another_size_than_the_annotation_says(folder: Folder):
    own = folder.pictures(scenes(8))
    folder.write("a.json", drawing.coco([Scene(s.file, s.things, (192, 128)) for s in own]))
    assert "annotation of a picture of another size" in folder.refusal()
    folder.write("a.json", drawing.coco([Scene(s.file, s.things, (64, 96)) for s in own]))
    assert "annotation of a picture of another size" in folder.refusal()


def test_copies_of_a_picture_are_one(folder: Folder):
    own = folder.pictures(scenes(6), "train")
    for scene in own:
        (folder.root / "val").mkdir(exist_ok=True)
        if scene.stem > "img_003":
            shutil.copy(folder.root / "train" / scene.file, folder.root / "val" / f"x{scene.file}")
            folder.write(f"val/x{scene.stem}.xml", drawing.voc(scene, f"x{scene.file}"))
        folder.write(f"train/{scene.stem}.xml", drawing.voc(scene))
    found = folder.read()
    assert {split: len(p) for split, p in found.splits.items()} == {"train": 4, "val": 2}
    assert found.account.tallies["boxes"].left_out["box that comes twice"].count == 2


def test_pictures_without_an_annotation_are_not_background(folder: Folder):
    own = folder.pictures(scenes(8))
    for scene in own[:4]:
        folder.write(f"{scene.stem}.txt", drawing.yolo(scene))
    folder.write("classes.txt", "cat\ndog\n")
    found = folder.read()
    assert sum(1 for _ in found.pictures()) == 4
    assert found.account.tallies["pictures"].left_out["picture without an annotation"].count == 4


def test_a_box_that_sticks_out_a_little_is_cut(folder: Folder):
    scene = Scene("a.png", [Thing("cat", (80, 10, 16, 20))])
    folder.pictures([scene, *scenes(8)])
    content = drawing.coco([scene, *scenes(8)])
    content["annotations"][0] |= {"bbox": [80, 10, 20, 20], "area": 400}
    folder.write("a.json", content)
    (picture,) = (p for p in folder.read().pictures() if p.path.name == "a.png")
    assert picture.boxes[0].xywh == (80, 10, 16, 20)


@pytest.mark.parametrize("kind", ["coco", "cvat", "csv", "label-studio"])
def test_lists_beside_a_file_of_all_pictures_say_the_split(folder: Folder, kind):
    own = folder.pictures(scenes(9), "images")
    name, content = {
        "coco": ("a.json", drawing.coco(own)),
        "cvat": ("a.xml", drawing.cvat(own)),
        "csv": ("a.csv", drawing.table(own)),
        "label-studio": ("a.json", drawing.label_studio(own)),
    }[kind]
    folder.write(name, content)
    folder.write("train.txt", "".join(f"images/{scene.file}\n" for scene in own[:6]))
    folder.write("test.txt", "".join(f"{scene.stem}\n" for scene in own[5:]))
    found = folder.read()
    assert {split: len(p) for split, p in found.splits.items()} == {"train": 5, "test": 4}
    assert any("several splits: 1" in note for note in found.account.notes)


def test_what_an_annotation_says_of_the_split_comes_before_lists(folder: Folder):
    folder.coco()
    folder.write("test.txt", "".join(f"{p.name}\n" for p in (folder.root / "images").iterdir()))
    assert set(folder.read().splits) == {"train", "val"}
