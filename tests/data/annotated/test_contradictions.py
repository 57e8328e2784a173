"""Annotations of one picture that cannot all be right."""

from __future__ import annotations

import copy
import shutil

import pytest

from tests.data.annotated import drawing
from tests.data.annotated.drawing import LOSSY, Folder, Scene, Thing, scenes

NAMES = ("cat", "dog", "bird")


def _renamed(own: list[Scene]) -> list[Scene]:
    """One thing has another name, as before somebody corrected it."""
    first, *others = own
    thing, *rest = first.things
    other = next(n for n in NAMES if n not in {t.name for t in first.things})
    return [Scene(first.file, [Thing(other, thing.xywh), *rest], first.size), *others]


def _with_stray(own: list[Scene]) -> list[Scene]:
    """One more thing, where nothing is."""
    first, *others = own
    other = next(n for n in NAMES if n not in {t.name for t in first.things})
    return [Scene(first.file, [*first.things, Thing(other, (1, 1, 9, 9))], first.size), *others]


WRITERS = {
    "json": lambda own: drawing.coco(own, NAMES),
    "xml": lambda own: drawing.cvat(own, NAMES),
    "csv": drawing.table,
}


@pytest.mark.parametrize("ending", WRITERS)
@pytest.mark.parametrize("change", [_renamed, _with_stray])
def test_an_older_state_beside_the_newer_one_is_refused(folder: Folder, ending, change):
    own = folder.pictures(scenes(8, NAMES, per_picture=2), "images")
    folder.write(f"boxes.{ending}", WRITERS[ending](own))
    folder.write(f"boxes (1).{ending}", WRITERS[ending](change(own)))
    said = folder.refusal(LOSSY)
    for part in (
        "img_000.png",
        f"boxes.{ending}",
        f"boxes (1).{ending}",
        "boxes in common",
        "move",
    ):
        assert part in said


def test_an_older_export_of_label_studio_is_refused(folder: Folder):
    own = folder.pictures(scenes(8, NAMES, per_picture=2), "images")
    folder.write("project-1-at-2024-01.json", drawing.label_studio(_renamed(own)))
    folder.write("project-1-at-2024-02.json", drawing.label_studio(own))
    assert "boxes in common" in folder.refusal()


def test_files_that_have_nothing_in_common_complete_one_another(folder: Folder):
    own = folder.pictures(scenes(9, NAMES, per_picture=3), "images")
    for name in NAMES:
        part = [Scene(s.file, [t for t in s.things if t.name == name], s.size) for s in own]
        folder.write(f"{name}.json", drawing.coco(part, NAMES))
    assert folder.num_read() == 27


def test_a_file_of_some_categories_says_nothing_of_the_others(folder: Folder):
    own = folder.pictures(scenes(9, NAMES, per_picture=3), "images")
    folder.write("all.json", drawing.coco(own, NAMES))
    part = [Scene(s.file, [t for t in s.things if t.name == "cat"], s.size) for s in own]
    folder.write("cats.json", drawing.coco(part, ("cat",)))
    assert folder.num_read() == 27


@pytest.mark.parametrize("moved", [0, 2])
def test_a_thing_that_two_annotators_name_differently_has_no_name(folder: Folder, moved):
    own = folder.pictures(scenes(8, ("cat", "dog")), "images")
    tasks = drawing.label_studio(own)
    other = copy.deepcopy(tasks[0]["annotations"][0])
    other["result"][0]["value"]["rectanglelabels"] = ["dog"]
    other["result"][0]["value"]["x"] += moved
    tasks[0]["annotations"].append(other)
    folder.write("tasks.json", tasks)
    found = folder.read(LOSSY)
    left = found.account.tallies["boxes"].left_out["box that two annotations name differently"]
    assert (left.count, left.is_loss) == (2, True)
    assert not any(p.boxes for p in found.pictures() if p.path.name == own[0].file)
    assert sum(len(p.boxes) for p in found.pictures()) == 7


@pytest.mark.parametrize("change", [_renamed, _with_stray])
def test_copies_of_a_picture_that_are_annotated_differently_are_left_out(folder: Folder, change):
    own = folder.pictures(scenes(12, NAMES, per_picture=2), "images")
    for scene, old in zip(own, change(own), strict=True):
        folder.write(f"labels/{scene.stem}.txt", drawing.yolo(scene, NAMES))
        folder.write(f"backup/labels/{scene.stem}.txt", drawing.yolo(old, NAMES))
    shutil.copytree(folder.root / "images", folder.root / "backup/images")
    folder.write("data.yaml", "names: [cat, dog, bird]")
    assert folder.num_read(LOSSY) == 22
    left = folder.read(LOSSY).account.tallies["pictures"].left_out
    assert left["picture with a copy that is annotated differently"].count == 1


def test_a_box_that_a_copy_draws_elsewhere_counts_for_neither(folder: Folder):
    one = Scene("one.png", [Thing("cat", (5, 5, 20, 20))])
    for scene in folder.pictures([one, *scenes(11)]):
        folder.write(f"{scene.stem}.txt", drawing.yolo(scene))
    shutil.copy(folder.root / "one.png", folder.root / "copy.png")
    folder.write("copy.txt", drawing.yolo(Scene("copy.png", [Thing("cat", (60, 30, 20, 20))])))
    folder.write("classes.txt", "cat\ndog\n")
    assert folder.num_read(LOSSY) == 11
