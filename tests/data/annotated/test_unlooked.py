"""A val or test in which not one picture has a box."""

from __future__ import annotations

import pytest

from omnidet.data.annotated import cut
from tests.data.annotated import drawing
from tests.data.annotated.drawing import Folder, Scene, scenes


def _parts(folder: Folder, hidden: str, layout: str, splits=("train", "val", "test")) -> None:
    """Four pictures in each split; of `hidden` the things are shown and not annotated."""
    folder.write("data.yaml", "names: [cat, dog]\n")
    for split in splits:
        own = folder.pictures(scenes(4, prefix=f"{split}_"), f"images/{split}")
        told = [Scene(s.file, [], split=split) if split == hidden else s for s in own]
        if layout == "coco":
            folder.write(f"annotations/instances_{split}.json", drawing.coco(told))
        elif layout == "cvat":
            folder.write(f"{split}.xml", drawing.cvat(told))
        for scene in told:
            if layout == "yolo":
                folder.write(f"labels/{split}/{scene.stem}.txt", drawing.yolo(scene))
            elif layout == "voc":
                folder.write(f"xml/{split}/{scene.stem}.xml", drawing.voc(scene))


@pytest.mark.parametrize("layout", ["coco", "cvat", "yolo", "voc"])
@pytest.mark.parametrize(("hidden", "measured"), [("test", "val"), ("val", "test")])
def test_a_part_that_nobody_annotated_is_not_trained_on(folder: Folder, layout, hidden, measured):
    _parts(folder, hidden, layout)
    made = cut.cut(folder.read())
    assert {picture.path.parent.name for picture in made.train} == {"train"}
    assert {picture.path.parent.name for picture in made.evaluation} == {measured}
    tally = made.found.account.tallies["pictures"]
    assert (tally.kept, sum(out.count for out in tally.left_out.values())) == (8, 4)
    assert any(f"{hidden}_000" in out.first for out in tally.left_out.values())


@pytest.mark.parametrize("layout", ["coco", "yolo"])
def test_without_another_part_the_evaluation_is_taken_from_what_is_annotated(
    folder: Folder, layout
):
    _parts(folder, "val", layout, splits=("train", "val"))
    made = cut.cut(folder.read())
    parts = {picture.path.parent.name for picture in [*made.train, *made.evaluation]}
    assert parts == {"train"}
    assert "no split was found" in made.why


@pytest.mark.parametrize("layout", ["coco", "cvat"])
def test_a_list_of_pictures_in_no_split_that_nobody_annotated(folder: Folder, layout):
    _parts(folder, "unlabeled", layout, splits=("train", "val", "unlabeled"))
    assert folder.num_read() == 8


def test_an_empty_file_of_one_picture_says_that_nothing_is_there(folder: Folder):
    for scene in folder.pictures([*scenes(6), Scene("bare.png", [])]):
        folder.write(f"{scene.stem}.json", drawing.coco([scene]))
    assert "bare.png" in {picture.path.name for picture in folder.read().pictures()}


def test_a_part_with_one_box_was_looked_at(folder: Folder):
    own = folder.pictures([*scenes(1, prefix="val_"), Scene("bare.png", [])], "val")
    own += folder.pictures(scenes(4), "train")
    for scene in own:
        where = "train" if scene.file.startswith("img") else "val"
        folder.write(f"{where}/{scene.stem}.xml", drawing.voc(scene))
    made = cut.cut(folder.read())
    assert {picture.path.name for picture in made.evaluation} == {"val_000.png", "bare.png"}
